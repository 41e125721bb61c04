/* The wrapper in a task's Pod (docs/pods.md): runs the user's program and says how it ended.
 *
 * Why C: it is mounted into images that may have no shell and no libc, runs as any user, without capabilities and on a
 * read-only file system, and has to fit into a ConfigMap.
 *
 * Invariants: memory is constant, whatever the program writes; only the program itself is waited for, since a process
 * that it leaves behind may hold its pipes open for ever; every exit writes a result, except SIGKILL, which closes the
 * FIFO `alive`; the program gets the signal mask, dispositions and umask that the wrapper was given.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 4096
#define PARAMETER_BYTES (16L << 20)
#define METADATA_BYTES (64L << 20)
#define FRAME_MARK "::penstock-result "
#define OWN_FAILURE 125
#define READY_MILLIS 10
#define MAX_DEPTH 100

enum { FORWARDED = 6 };
static const int forwarded[FORWARDED] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

static const char *share, *log_path, *home, *metadata, *message_path = "/dev/termination-log", *token = "-";
static int waits, counts;
static char **options, **program;

static struct {
  int code, signal, error;
  int64_t started, finished;
} ended;
static const char *failure_kind;
static char failure_text[512];
static int log_file = -1;
static int64_t log_bytes;

/* --- text ------------------------------------------------------------------------------------------------------ */

static void append(char *text, size_t size, const char *more) {
  size_t used = strlen(text), length = strlen(more);
  if (length > size - 1 - used) length = size - 1 - used;
  memcpy(text + used, more, length);
  text[used + length] = 0;
}

static const char *decimal(int64_t number, char buffer[24]) {
  char *at = buffer + 23;
  uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
  *at = 0;
  do *--at = '0' + rest % 10;
  while (rest /= 10);
  if (number < 0) *--at = '-';
  return at;
}

/* Only the first failure counts: what follows may be its consequence. */
static void set_failure(const char *kind, const char *before, const char *name, const char *after, int error) {
  if (failure_kind) return;
  failure_kind = kind;
  append(failure_text, sizeof failure_text, before);
  append(failure_text, sizeof failure_text, name);
  append(failure_text, sizeof failure_text, after);
  if (error) {
    append(failure_text, sizeof failure_text, ": ");
    append(failure_text, sizeof failure_text, strerror(error));
  }
}

/* Bytes of the UTF-8 sequence at `at`, 0 when there is no valid one. */
static size_t sequence(const unsigned char *at, size_t left) {
  unsigned char first = at[0];
  size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length > left) return 0;
  for (size_t i = 1; i < length; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  if (length == 3 && ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f))) return 0;
  if (length == 4 && ((first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))) return 0;
  return length;
}

/* --- files ----------------------------------------------------------------------------------------------------- */

static int write_all(int file, const char *data, size_t size) {
  while (size) {
    ssize_t done = write(file, data, size);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return -1;
    data += done;
    size -= done;
  }
  return 0;
}

static ssize_t read_some(int file, void *data, size_t size) {
  ssize_t got;
  do got = read(file, data, size);
  while (got < 0 && errno == EINTR);
  return got;
}

static const char *join(char path[PATH_MAX], const char *directory, const char *name) {
  path[0] = 0;
  append(path, PATH_MAX, directory);
  append(path, PATH_MAX, "/");
  append(path, PATH_MAX, name);
  return path;
}

static const char *in_share(const char *name, char path[PATH_MAX]) { return join(path, share, name); }

static int make_directories(const char *path) {
  char part[PATH_MAX];
  size_t length = strlen(path);
  if (length >= sizeof part) return errno = ENAMETOOLONG, -1;
  for (size_t i = 1; i <= length; i++)
    if (path[i] == '/' || path[i] == 0) {
      memcpy(part, path, i);
      part[i] = 0;
      if (mkdir(part, 0777) && errno != EEXIST) return -1;
    }
  struct stat status;
  if (stat(path, &status)) return -1;
  if (!S_ISDIR(status.st_mode)) return errno = ENOTDIR, -1;
  return 0;
}

/* --- the result as JSON ---------------------------------------------------------------------------------------- */

/* The put_ functions write the result into `message` and count its bytes in `total`, also those that do not fit. If it
 * did not fit, it is put a second time with `framing` set, which writes it to stdout, line by line. */
static char message[MESSAGE_BYTES];
static size_t total;
static int framing;
static char line[MESSAGE_BYTES];
static size_t line_start, line_used;

static void flush_line(void) {
  line[line_used] = '\n';
  write_all(1, line, line_used + 1);
  line_used = line_start;
}

/* A line of a frame fits into one atomic write to a pipe and one log entry, and splits no UTF-8 sequence. */
static void frame(const char *data, size_t size) {
  while (size) {
    size_t length = sequence((const unsigned char *)data, size);
    if (line_used + length + 1 > sizeof line) flush_line();
    memcpy(line + line_used, data, length);
    line_used += length;
    data += length;
    size -= length;
  }
}

static void put_bytes(const char *data, size_t size) {
  if (framing)
    frame(data, size);
  else if (total + size <= sizeof message)
    memcpy(message + total, data, size);
  total += size;
}

static void put(const char *text) { put_bytes(text, strlen(text)); }

static void put_number(int64_t number) {
  char buffer[24];
  put(decimal(number, buffer));
}

static void put_character(const unsigned char *at, size_t length) {
  static const char digits[] = "0123456789abcdef";
  if (*at == '"' || *at == '\\') {
    put("\\");
  } else if (*at < 0x20) {
    char escape[] = {'\\', 'u', '0', '0', digits[*at >> 4], digits[*at & 15]};
    put_bytes(escape, sizeof escape);
    return;
  }
  put_bytes((const char *)at, length);
}

static void put_string(const char *text) {
  const unsigned char *at = (const unsigned char *)text;
  size_t left = strlen(text), length;
  put("\"");
  for (; left; at += length, left -= length) {
    length = sequence(at, left);
    if (length) {
      put_character(at, length);
    } else {
      put("\xef\xbf\xbd");
      length = 1;
    }
  }
  put("\"");
}

/* 1 when the file is UTF-8, 0 when it is not, -1 with errno when it cannot be read. With `out`, puts its characters. */
static int text_of(int file, int out) {
  static unsigned char data[32768];
  size_t held = 0, at = 0, length;
  if (lseek(file, 0, SEEK_SET) < 0) return -1;
  for (;;) {
    ssize_t got = read_some(file, data + held, sizeof data - held);
    if (got < 0) return -1;
    held += got;
    for (at = 0; at < held; at += length) {
      length = sequence(data + at, held - at);
      /* The rest of this sequence may be in the next piece. */
      if (!length && got && held - at < 4) break;
      if (!length) return 0;
      if (out) put_character(data + at, length);
    }
    held -= at;
    memmove(data, data + at, held);
    if (!got) return 1;
  }
}

enum text { ABSENT, GOOD, INVALID, BROKEN };

/* Opens a file that the program may have written; BROKEN sets the failure. Never blocks, also not on a FIFO. */
static enum text open_text(const char *path, long limit, const char *before, const char *name, const char *after,
                           int *file) {
  struct stat status;
  char text[160] = "";
  *file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (*file < 0 && (errno == ENOENT || errno == ENOTDIR)) return ABSENT;
  append(text, sizeof text, after);
  if (*file < 0 || fstat(*file, &status)) {
    append(text, sizeof text, " cannot be read");
    set_failure("user", before, name, text, errno);
  } else if (!S_ISREG(status.st_mode)) {
    append(text, sizeof text, " cannot be read: it is no file");
    set_failure("user", before, name, text, 0);
  } else if (status.st_size > limit) {
    char buffer[24];
    append(text, sizeof text, " is larger than ");
    append(text, sizeof text, decimal(limit, buffer));
    append(text, sizeof text, " bytes");
    set_failure("user", before, name, text, 0);
  } else {
    int good = text_of(*file, 0);
    if (good >= 0) return good ? GOOD : INVALID;
    append(text, sizeof text, " cannot be read");
    set_failure("user", before, name, text, errno);
  }
  if (*file >= 0) close(*file);
  return BROKEN;
}

static void put_file(int file) {
  put("\"");
  text_of(file, 1);
  put("\"");
  close(file);
}

/* Whether the option is a flag; every other option has a value. */
static int is_flag(const char *name) { return !strcmp(name, "--wait") || !strcmp(name, "--count"); }

static const char *next_option(const char *name, int *at) {
  while (options + *at < program - 1) {
    const char *found = options[(*at)++];
    if (is_flag(found)) continue;
    const char *value = options[(*at)++];
    if (!strcmp(found, name)) return value;
  }
  return 0;
}

static void put_parameters(void) {
  const char *given, *separator = "{", *path;
  for (int at = 0; (given = next_option("--parameter", &at));) {
    char name[1024] = "";
    int file;
    path = strchr(given, '=') + 1;
    memcpy(name, given, path - given - 1);
    name[path - given - 1] = 0;
    enum text found = open_text(path, PARAMETER_BYTES, "output parameter '", name, "'", &file);
    if (found == ABSENT || found == BROKEN) continue;
    put(separator);
    put_string(name);
    put(":");
    if (found == GOOD) {
      put_file(file);
    } else {
      put("null");
      close(file);
    }
    separator = ",";
  }
  put(*separator == '{' ? "{}" : "}");
}

static void put_metadata(void) {
  int file;
  enum text found = metadata ? open_text(metadata, METADATA_BYTES, "output_metadata.json", "", "", &file) : ABSENT;
  if (found == GOOD) {
    put_file(file);
    return;
  }
  put("null");
  if (found == INVALID) {
    close(file);
    set_failure("user", "output_metadata.json is no valid JSON: it is no UTF-8 text", "", "", 0);
  }
}

/* The program's name, short enough for a message. */
static const char *shown_command(void) {
  static char text[sizeof failure_text];
  text[0] = 0;
  append(text, sizeof text, program[0]);
  return text;
}

static void put_exit(const char *reason) {
  put("{\"code\":");
  put_number(ended.code);
  put(",\"signal\":");
  put_number(ended.signal);
  put(",\"errno\":");
  put_number(ended.error);
  put(",\"command\":");
  put_string(ended.error ? shown_command() : "");
  put(",\"started_at\":");
  put_number(ended.started);
  put(",\"finished_at\":");
  put_number(ended.finished);
  put(",\"reason\":");
  put_string(reason);
  put(",\"log_bytes\":");
  put_number(log_bytes);
  put("}");
}

static void put_result(void) {
  put("{\"exit\":");
  put_exit("");
  put(",\"parameters\":");
  if (ended.code == 0)
    put_parameters();
  else
    put("{}");
  put(",\"metadata\":");
  if (ended.code == 0)
    put_metadata();
  else
    put("null");
  put(",\"failure\":");
  if (failure_kind) {
    put("[");
    put_string(failure_kind);
    put(",");
    put_string(failure_text);
    put("]");
  } else {
    put("null");
  }
  put("}");
}

static void frame_result(void) {
  char buffer[24];
  size_t size = total;
  line[0] = 0;
  append(line, sizeof line, "\n" FRAME_MARK);
  append(line, sizeof line, token);
  append(line, sizeof line, " ");
  append(line, sizeof line, decimal(size, buffer));
  line_used = strlen(line);
  flush_line();
  line[0] = 0;
  append(line, sizeof line, FRAME_MARK);
  append(line, sizeof line, token);
  append(line, sizeof line, ":");
  line_used = line_start = strlen(line);
  framing = 1;
  put_result();
  flush_line();
  framing = 0;
  total = 0;
  put("{\"frame\":");
  put_string(token);
  put(",\"bytes\":");
  put_number(size);
  put(",\"log_bytes\":");
  put_number(log_bytes);
  put("}");
}

/* --- custom paths ---------------------------------------------------------------------------------------------- */

/* A task may write an artifact to any path and name it in output_metadata.json. The agent sees the shared directories
 * only, so other paths are copied into the share, under a name that wrapper and agent derive from the path. */

static int copy_file(const char *from, const char *to) {
  static char data[32768];
  int input = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), output;
  ssize_t got = -1;
  if (input < 0) return -1;
  output = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (output >= 0)
    while ((got = read_some(input, data, sizeof data)) > 0)
      if (write_all(output, data, got)) break;
  int error = errno;
  close(input);
  if (output >= 0) close(output);
  errno = error;
  return got == 0 ? 0 : -1;
}

/* Links to files are copied as files, as everywhere with outputs; links to directories, and devices, are left out. */
static int copy_tree(const char *from, const char *to, int depth) {
  struct stat status;
  char source[PATH_MAX], target[PATH_MAX];
  if (depth > MAX_DEPTH) return errno = ELOOP, -1;
  if (stat(from, &status)) return -1;
  if (S_ISREG(status.st_mode)) return copy_file(from, to);
  if (!S_ISDIR(status.st_mode)) return 0;
  if (mkdir(to, 0777) && errno != EEXIST) return -1;
  DIR *directory = opendir(from);
  if (!directory) return -1;
  struct dirent *entry;
  int done = 0;
  while (!done && (errno = 0, entry = readdir(directory))) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    join(source, from, entry->d_name);
    join(target, to, entry->d_name);
    int is_link = !lstat(source, &status) && S_ISLNK(status.st_mode);
    if (is_link && !stat(source, &status) && S_ISDIR(status.st_mode)) continue;
    done = copy_tree(source, target, depth + 1);
  }
  if (errno) done = -1;
  int error = errno;
  closedir(directory);
  errno = error;
  return done;
}

static void copy_custom_path(const char *path) {
  static const char *const shared[] = {"/tmp/kfp/", "/s3/", "/gcs/", "/minio/", "/az/", "/abfs/", "/penstock/"};
  uint64_t hash = 0xcbf29ce484222325u;
  char custom[PATH_MAX], target[PATH_MAX], name[17] = "";
  for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
    if (!strncmp(path, shared[i], strlen(shared[i]))) return;
  if (access(path, F_OK)) return;
  for (const unsigned char *at = (const unsigned char *)path; *at; at++) hash = (hash ^ *at) * 0x100000001b3u;
  for (int i = 0; i < 16; i++) name[i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
  if (make_directories(in_share("custom", custom)) == 0) {
    join(target, custom, name);
    if (copy_tree(path, target, 0) == 0) return;
  }
  set_failure("infrastructure", "what the task left at ", path, " cannot be copied for the agent", errno);
}

/* Finds the values of `customPath` and `custom_path` wherever they are in a JSON text. */
struct scanner {
  enum { OUTSIDE, STRING, ESCAPE, HEX } state;
  int digits, is_key, wanted;
  uint32_t code, high;
  size_t used;
  char text[PATH_MAX];
};

static void scanned_byte(struct scanner *scan, char byte) {
  /* Text that is too long for a path, or has a NUL in it, is marked as overlong, so that it is ignored. */
  if (!byte) scan->used = sizeof scan->text;
  if (scan->used < sizeof scan->text) scan->text[scan->used++] = byte;
}

static void scanned_code(struct scanner *scan, uint32_t code) {
  if (scan->high && code >= 0xdc00 && code < 0xe000) {
    code = 0x10000 + ((scan->high - 0xd800) << 10) + (code - 0xdc00);
    scan->used -= 3;
  }
  scan->high = code >= 0xd800 && code < 0xdc00 ? code : 0;
  int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const unsigned char first[] = {0, 0xc0, 0xe0, 0xf0};
  scanned_byte(scan, (char)(first[more] | code >> (6 * more)));
  while (more--) scanned_byte(scan, (char)(0x80 | (code >> (6 * more) & 0x3f)));
}

static void scanned_string(struct scanner *scan) {
  int whole = scan->used < sizeof scan->text;
  if (whole) scan->text[scan->used] = 0;
  if (scan->wanted && whole && scan->used) copy_custom_path(scan->text);
  scan->is_key = !scan->wanted && whole && (!strcmp(scan->text, "customPath") || !strcmp(scan->text, "custom_path"));
  scan->wanted = 0;
}

static void scan_byte(struct scanner *scan, unsigned char byte) {
  static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  switch (scan->state) {
    case OUTSIDE:
      if (byte == '"') {
        scan->state = STRING;
        scan->used = scan->high = 0;
      } else if (byte > ' ') {
        scan->wanted = byte == ':' && scan->is_key;
        scan->is_key = 0;
      }
      return;
    case STRING:
      if (byte == '"') {
        scan->state = OUTSIDE;
        scanned_string(scan);
      } else if (byte == '\\') {
        scan->state = ESCAPE;
      } else {
        scan->high = 0;
        scanned_byte(scan, byte);
      }
      return;
    case ESCAPE:
      scan->state = byte == 'u' ? HEX : STRING;
      scan->digits = scan->code = 0;
      if (byte != 'u' && byte && strchr(escapes, byte)) {
        scan->high = 0;
        scanned_byte(scan, meant[strchr(escapes, byte) - escapes]);
      }
      return;
    case HEX:
      scan->code = scan->code << 4 | (byte <= '9' ? byte & 15 : (byte & 7) + 9);
      if (++scan->digits == 4) {
        scan->state = STRING;
        scanned_code(scan, scan->code);
      }
  }
}

static void copy_custom_paths(void) {
  static struct scanner scan;
  static unsigned char data[32768];
  ssize_t got;
  int file = open(metadata, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat status;
  if (file < 0) return;
  if (!fstat(file, &status) && S_ISREG(status.st_mode) && status.st_size <= METADATA_BYTES)
    while ((got = read_some(file, data, sizeof data)) > 0)
      for (ssize_t i = 0; i < got; i++) scan_byte(&scan, data[i]);
  close(file);
}

/* --- the end --------------------------------------------------------------------------------------------------- */

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static void log_line(const char *what) {
  char text[sizeof failure_text + 16] = "penstock: ";
  append(text, sizeof text, what);
  append(text, sizeof text, "\n");
  write_all(2, text, strlen(text));
  log_bytes += strlen(text);
  if (log_file >= 0) write_all(log_file, text, strlen(text));
}

static void write_exit(void) {
  char written[PATH_MAX], path[PATH_MAX];
  int file = open(in_share(".exit", written), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  put_exit(failure_text);
  if (file < 0 || write_all(file, message, total) || close(file) || rename(written, in_share("exit", path)))
    log_line("the end of the program could not be written down");
}

static void write_result(void) {
  total = 0;
  put_result();
  if (total > sizeof message) frame_result();
  int file = open(message_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0 || write_all(file, message, total)) log_line("the termination message could not be written");
}

static _Noreturn void finish(void) {
  ended.finished = now();
  if (!ended.started) ended.started = ended.finished;
  if (share && metadata && ended.code == 0) copy_custom_paths();
  if (share)
    write_exit();
  /* The agent writes the result, unless there is none or it may be gone. */
  if (!share || ended.code == OWN_FAILURE) write_result();
  _exit(ended.code);
}

static _Noreturn void fail(const char *before, const char *name, const char *after, int error) {
  ended.code = OWN_FAILURE;
  set_failure("infrastructure", before, name, after, error);
  log_line(failure_text);
  finish();
}

/* --- the beginning --------------------------------------------------------------------------------------------- */

static void read_options(int count, char **arguments) {
  int at = 1;
  options = program = arguments + 1;
  const char *wrong = 0;
  while (at < count && strcmp(arguments[at], "--")) {
    const char *name = arguments[at++];
    if (is_flag(name)) {
      *(!strcmp(name, "--wait") ? &waits : &counts) = 1;
      continue;
    }
    const char *value = at < count ? arguments[at++] : 0;
    if (!value)
      wrong = wrong ? wrong : name;
    else if (!strcmp(name, "--share"))
      share = value;
    else if (!strcmp(name, "--log"))
      log_path = value;
    else if (!strcmp(name, "--home"))
      home = value;
    else if (!strcmp(name, "--metadata"))
      metadata = value;
    else if (!strcmp(name, "--message"))
      message_path = value;
    else if (!strcmp(name, "--token"))
      token = value;
    else if (!strcmp(name, "--parameter")) {
      const char *equals = strchr(value, '=');
      if (!equals || equals - value > 1000) wrong = wrong ? wrong : value;
    } else if (strcmp(name, "--mkdir"))
      wrong = wrong ? wrong : name;
  }
  if (wrong) fail("the wrapper does not understand ", wrong, "", 0);
  if (at + 1 >= count) fail("the wrapper was given no program", "", "", 0);
  if (waits && !share) fail("the wrapper cannot wait without --share", "", "", 0);
  if (strlen(token) > 256) fail("the token is too long", "", "", 0);
  program = arguments + at + 1;
}

/* The FIFO gets its final name once it is open, so an agent that finds no writer knows that the wrapper is gone. */
static void open_liveness_fifo(void) {
  char made[PATH_MAX], path[PATH_MAX];
  in_share(".alive", made);
  unlink(made);
  if (mkfifo(made, 0666) || open(made, O_RDWR | O_NONBLOCK | O_CLOEXEC) < 0 || rename(made, in_share("alive", path)))
    fail("the wrapper cannot use ", share, "", errno);
}

/* A user whom the image does not know has `/` for a home, where only root may write. */
static void give_home(void) {
  const char *given = getenv("HOME");
  if (given && *given && strcmp(given, "/")) return;
  if (!access("/", W_OK)) return;
  if (make_directories(home) || setenv("HOME", home, 1)) fail("the directory ", home, " cannot be made", errno);
}

static int next_signal(int signals) {
  struct signalfd_siginfo info;
  return read_some(signals, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

/* The agent keeps a FIFO open likewise: when it has no writer, nobody fetches inputs any more. */
static int agent_is_gone(int *life) {
  char path[PATH_MAX], byte;
  if (*life < 0) *life = open(in_share("agent", path), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  return *life >= 0 && read_some(*life, &byte, 1) == 0;
}

static void wait_for_inputs(int signals) {
  char ready[PATH_MAX], failed[PATH_MAX];
  int life = -1;
  in_share("ready", ready);
  in_share("failed", failed);
  for (;;) {
    /* Checked before the marker files, so that one which the agent wrote before it ended is not missed. */
    int gone = agent_is_gone(&life);
    if (!access(ready, F_OK)) break;
    if (!access(failed, F_OK)) {
      log_line("the task's inputs could not be fetched");
      _exit(OWN_FAILURE);
    }
    if (gone) fail("the agent ended before it had fetched the inputs", "", "", 0);
    struct pollfd event = {.fd = signals, .events = POLLIN};
    if (poll(&event, 1, READY_MILLIS) <= 0) continue;
    int number = next_signal(signals);
    if (number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT) {
      ended.signal = number;
      ended.code = 128 + number;
      finish();
    }
  }
  if (life >= 0) close(life);
}

/* --- the program ----------------------------------------------------------------------------------------------- */

struct stream {
  int from, to;
  size_t start, end;
  char data[32768];
};
static struct stream streams[2];

static void fill_stream(struct stream *stream, size_t most) {
  ssize_t got = read_some(stream->from, stream->data, most < sizeof stream->data ? most : sizeof stream->data);
  if (got <= 0) {
    close(stream->from);
    stream->from = -1;
    return;
  }
  stream->start = stream->to < 0 ? got : 0;
  stream->end = got;
  log_bytes += got;
  /* A full disk ends the copy, not the task. */
  if (log_file >= 0 && write_all(log_file, stream->data, got)) {
    close(log_file);
    log_file = -1;
  }
}

static void flush_stream(struct stream *stream, size_t most) {
  size_t size = stream->end - stream->start;
  if (size > most) size = most;
  if (stream->to >= 0 && write_all(stream->to, stream->data + stream->start, size)) stream->to = -1;
  stream->start = stream->to < 0 ? stream->end : stream->start + size;
}

/* Copies what is in the pipe now, which is all that the program wrote; what its children write later is dropped. */
static void drain(struct stream *stream) {
  int left = 0;
  flush_stream(stream, sizeof stream->data);
  if (stream->from < 0 || ioctl(stream->from, FIONREAD, &left)) return;
  while (left > 0 && stream->from >= 0) {
    fill_stream(stream, left);
    left -= stream->end;
    flush_stream(stream, sizeof stream->data);
  }
}

static pid_t start(const sigset_t *mask, const struct sigaction *pipe_action, mode_t mask_of_files) {
  int pipes[3][2];
  for (int i = 0; i < 3; i++)
    if (pipe2(pipes[i], O_CLOEXEC)) fail("the wrapper cannot make a pipe", "", "", errno);
  ended.started = now();
  pid_t child = fork();
  if (child < 0) fail("the program cannot be started", "", "", errno);
  if (child == 0) {
    setpgid(0, 0);
    if (log_path || counts) {
      dup2(pipes[0][1], 1);
      dup2(pipes[1][1], 2);
    }
    umask(mask_of_files);
    sigaction(SIGPIPE, pipe_action, 0);
    sigprocmask(SIG_SETMASK, mask, 0);
    execvp(program[0], program);
    int error = errno;
    write_all(pipes[2][1], (char *)&error, sizeof error);
    _exit(127);
  }
  setpgid(child, child);
  for (int i = 0; i < 3; i++) close(pipes[i][1]);
  for (int i = 0; i < 2; i++) {
    streams[i].to = i + 1;
    streams[i].from = log_path || counts ? pipes[i][0] : -1;
    if (streams[i].from < 0) close(pipes[i][0]);
  }
  if (read_some(pipes[2][0], &ended.error, sizeof ended.error) != sizeof ended.error) ended.error = 0;
  close(pipes[2][0]);
  return child;
}

/* Reaps every process that has ended; true when the program is one of them. */
static int reap(pid_t child) {
  int status, child_ended = 0;
  pid_t ended_pid;
  while ((ended_pid = waitpid(-1, &status, WNOHANG)) > 0)
    if (ended_pid == child) {
      child_ended = 1;
      ended.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      ended.code = ended.signal ? 128 + ended.signal : WEXITSTATUS(status);
    }
  return child_ended;
}

static void supervise(pid_t child, int signals) {
  for (;;) {
    struct pollfd events[3] = {{.fd = signals, .events = POLLIN}};
    for (int i = 0; i < 2; i++) {
      struct stream *stream = streams + i;
      int pending = stream->start < stream->end;
      events[i + 1].fd = pending ? stream->to : stream->from;
      events[i + 1].events = pending ? POLLOUT : POLLIN;
    }
    if (poll(events, 3, -1) < 0) continue;
    if (events[0].revents) {
      int number = next_signal(signals);
      if (number == SIGCHLD) {
        if (reap(child)) return;
      } else if (number) {
        /* A program may have left the process group that it was started in. */
        if (kill(-child, number)) kill(child, number);
      }
    }
    for (int i = 0; i < 2; i++) {
      if (!events[i + 1].revents) continue;
      /* A writable pipe takes this much without blocking, so signals are handled even when nobody reads the output. */
      if (events[i + 1].events == POLLOUT)
        flush_stream(streams + i, 4096);
      else
        fill_stream(streams + i, sizeof streams[i].data);
    }
  }
}

int main(int count, char **arguments) {
  sigset_t own, given;
  struct sigaction ignore = {.sa_handler = SIG_IGN}, pipe_action;
  mode_t mask_of_files = umask(0);
  sigemptyset(&own);
  sigaddset(&own, SIGCHLD);
  for (int i = 0; i < FORWARDED; i++) sigaddset(&own, forwarded[i]);
  sigprocmask(SIG_BLOCK, &own, &given);
  sigaction(SIGPIPE, &ignore, &pipe_action);
  read_options(count, arguments);
  int signals = signalfd(-1, &own, SFD_CLOEXEC);
  if (signals < 0) fail("the wrapper cannot receive signals", "", "", errno);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (share) open_liveness_fifo();
  if (waits) wait_for_inputs(signals);
  const char *directory;
  for (int at = 0; (directory = next_option("--mkdir", &at));)
    if (make_directories(directory)) fail("the directory ", directory, " cannot be made", errno);
  if (home) give_home();
  if (log_path) {
    log_file = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log_file < 0) fail("the log ", log_path, " cannot be written", errno);
  }
  pid_t child = start(&given, &pipe_action, mask_of_files);
  supervise(child, signals);
  for (int i = 0; i < 2; i++) drain(streams + i);
  if (ended.error) {
    ended.signal = 0;
    ended.code = ended.error == ENOENT || ended.error == ENOTDIR ? 127 : 126;
    char text[sizeof failure_text + 128] = "";
    append(text, sizeof text, shown_command());
    append(text, sizeof text, ": ");
    append(text, sizeof text, strerror(ended.error));
    log_line(text);
  }
  finish();
}
