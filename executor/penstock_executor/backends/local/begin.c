/* Becomes a command of a local task: what `Server.become` in fork_server.py does for one, without a Python.

Why: the fork of a Python copies its page tables, and its child copies most pages that it touches and gives all of them
back when it becomes the command. That cost several times what a small command does. This program is started without
either, by vfork.

Invariants: `pid` is written before the command's first instruction; what fails before that is written to `not-begun`
and ends with 1; a command that cannot be started is written to `spawn-error` and ends with 127. Files are made in the
directory that was opened when the attempt began, and nothing that lies there is opened. The command inherits nothing
that is open but its input and its log.

Usage: begin DIRECTORY LOG WORKING OVERLAYS [LOWER TARGET SCRATCH]... THROUGH [PATH]... COMMAND [ARGUMENT]...

DIRECTORY is an open descriptor; OVERLAYS and THROUGH say how many follow; an empty SCRATCH means memory. The session is
the caller's to make. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STAT_BYTES = 4096, NAME_BYTES = 64, TEXT_BYTES = 3072, START_FIELD = 19 };

extern char **environ;
static int directory;

/* A JSON string of at most TEXT_BYTES of the text. Bytes that are no UTF-8 stay: whoever reads is prepared. */
static void put_string(FILE *out, const char *text) {
  size_t length = strnlen(text, TEXT_BYTES + 1);
  if (length > TEXT_BYTES)
    for (length = TEXT_BYTES; length && ((unsigned char)text[length] & 0xC0) == 0x80;) length--;
  putc('"', out);
  for (size_t at = 0; at < length; at++) {
    unsigned char byte = (unsigned char)text[at];
    if (byte == '"' || byte == '\\')
      fprintf(out, "\\%c", byte);
    else if (byte < 0x20)
      fprintf(out, "\\u%04x", byte);
    else
      putc(byte, out);
  }
  putc('"', out);
}

/* A name beside `name` that nobody could have taken before. */
static int unused(char *into, const char *name) {
  unsigned long long random;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return -1;
  return snprintf(into, NAME_BYTES, ".%s.%016llx", name, random) < NAME_BYTES ? 0 : -1;
}

/* A new file that `appear` gives its name. NULL when there can be none. */
static FILE *made(char *temporary, const char *name) {
  if (unused(temporary, name) != 0) return NULL;
  int opened = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  return opened < 0 ? NULL : fdopen(opened, "w");
}

static int appear(FILE *out, const char *temporary, const char *name) {
  return fclose(out) == 0 && renameat(directory, temporary, directory, name) == 0 ? 0 : -1;
}

/* Nothing of the task has begun: says why and ends. */
static _Noreturn void fail(const char *format, ...) {
  char text[TEXT_BYTES], temporary[NAME_BYTES];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  fprintf(stderr, "%s\n", text);
  FILE *out = made(temporary, "not-begun");
  if (out) {
    fputs("{\"error\": ", out);
    put_string(out, text);
    fputs("}", out);
    appear(out, temporary, "not-begun");
  }
  _exit(1);
}

static _Noreturn void fail_view(const char *what, const char *path) {
  fail("its view of packages and inputs cannot be made: %s%s: %s", what, path, strerror(errno));
}

/* Ticks since boot, as fork_server.start_time; 0 where there is no /proc. */
static unsigned long long start_time(void) {
  char text[STAT_BYTES];
  int opened = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (opened < 0) return 0;
  ssize_t length = read(opened, text, sizeof text - 1);
  close(opened);
  if (length <= 0) return 0;
  text[length] = 0;
  char *at = strrchr(text, ')');
  if (!at) return 0;
  at++;
  for (int field = 0; field < START_FIELD && at; field++) at = strchr(at + 1, ' ');
  return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void write_pid(void) {
  char temporary[NAME_BYTES];
  FILE *out = made(temporary, "pid");
  if (!out) fail("pid cannot be written: %s", strerror(errno));
  fprintf(out, "{\"pid\": %d, \"start\": %llu}", (int)getpid(), start_time());
  if (appear(out, temporary, "pid") != 0) fail("pid cannot be written: %s", strerror(errno));
}

static void write_map(const char *path, const char *text) {
  int opened = open(path, O_WRONLY | O_CLOEXEC);
  if (opened < 0 || write(opened, text, strlen(text)) != (ssize_t)strlen(text)) fail_view("", path);
  close(opened);
}

/* A mount namespace, with a user namespace around it where that takes one; returns whether it did. */
static int enter_namespaces(void) {
  unsigned user = getuid(), group = getgid();
  char text[NAME_BYTES];
  if (unshare(CLONE_NEWNS) == 0) return 0;
  if (unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0) fail_view("no mount namespace", "");
  write_map("/proc/self/setgroups", "deny");
  snprintf(text, sizeof text, "%u %u 1", user, user);
  write_map("/proc/self/uid_map", text);
  snprintf(text, sizeof text, "%u %u 1", group, group);
  write_map("/proc/self/gid_map", text);
  return 1;
}

static void *memory(size_t bytes) {
  void *found = malloc(bytes);
  if (!found) fail_view("", "memory");
  return found;
}

static char *joined(const char *one, const char *other) {
  size_t bytes = strlen(one) + strlen(other) + 1;
  char *text = memory(bytes);
  snprintf(text, bytes, "%s%s", one, other);
  return text;
}

/* As an option of an overlay, where commas and colons mean something. */
static char *escaped(const char *path) {
  char *text = memory(2 * strlen(path) + 1), *to = text;
  for (; *path; path++) {
    if (strchr("\\:,", *path)) *to++ = '\\';
    *to++ = *path;
  }
  *to = 0;
  return text;
}

static void make_directories(const char *path) {
  char *text = joined(path, "");
  for (char *at = text + 1; *at; at++)
    if (*at == '/') {
      *at = 0;
      mkdir(text, 0777);
      *at = '/';
    }
  if (mkdir(text, 0777) != 0 && errno != EEXIST) fail_view("", path);
}

static void lay_over(const char *lower, const char *target, const char *scratch, int in_user_namespace) {
  char descriptor[NAME_BYTES];
  int shown = open(lower, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (shown < 0) fail_view("", lower);
  if (!*scratch) {
    if (mount("tmpfs", target, "tmpfs", 0, "mode=0700") != 0) fail_view("mount at ", target);
    snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", shown);
    lower = descriptor;
    scratch = target;
  }
  char *upper = joined(scratch, "/upper"), *work = joined(scratch, "/work");
  make_directories(upper);
  make_directories(work);
  char *below = escaped(lower), *above = escaped(upper), *beside = escaped(work);
  size_t bytes = strlen(below) + strlen(above) + strlen(beside) + 256;
  char *options = memory(bytes);
  /* Nothing of it has to survive: without `volatile` the end of every task would sync the whole file system. */
  const char *form = "lowerdir=%s,upperdir=%s,workdir=%s,volatile%s";
  /* So that directories of an input can be renamed. */
  snprintf(options, bytes, form, below, above, beside, in_user_namespace ? ",userxattr" : ",redirect_dir=on");
  int done = mount("overlay", target, "overlay", 0, options);
  if (done != 0 && !in_user_namespace) {
    /* We are root of a user namespace, as in a container, or the file system keeps no such attribute. */
    snprintf(options, bytes, form, below, above, beside, "");
    done = mount("overlay", target, "overlay", 0, options);
  }
  if (done != 0) fail_view("mount at ", target);
  close(shown);
}

/* As fork_server.enter_view. */
static void enter_view(char **overlays, int count, char **through, int ways) {
  if (!count) return;
  int in_user_namespace = enter_namespaces(), *held = memory(sizeof(int) * (size_t)(ways + 1));
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail_view("mount at ", "/");
  /* Held open: their paths lead elsewhere once something is mounted above them. */
  for (int way = 0; way < ways; way++)
    if ((held[way] = open(through[way], O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) fail_view("", through[way]);
  for (int one = 0; one < count; one++)
    lay_over(overlays[3 * one], overlays[3 * one + 1], overlays[3 * one + 2], in_user_namespace);
  for (int way = 0; way < ways; way++) {
    char descriptor[NAME_BYTES];
    snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", held[way]);
    if (mount(descriptor, through[way], NULL, MS_BIND, NULL) != 0) fail_view("mount at ", through[way]);
  }
}

/* Returns, with errno set, when nothing on the PATH can be started: what was there and could not, before what was not
there. */
static void execute(char **command) {
  if (strchr(command[0], '/')) {
    execve(command[0], command, environ);
    return;
  }
  const char *at = getenv("PATH");
  int found = ENOENT;
  for (at = at ? at : "/bin:/usr/bin"; at;) {
    const char *end = strchr(at, ':');
    size_t length = end ? (size_t)(end - at) : strlen(at);
    char *path = memory(length + strlen(command[0]) + 2);
    memcpy(path, at, length);
    path[length] = '/';
    /* Nothing between two colons is the working directory. */
    strcpy(path + (length ? length + 1 : 0), command[0]);
    execve(path, command, environ);
    if (errno != ENOENT && errno != ENOTDIR) found = errno;
    free(path);
    at = end ? end + 1 : NULL;
  }
  errno = found;
}

static void be_as_new(void) {
  for (int number = 1; number < NSIG; number++)
    if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static void open_streams(const char *path) {
  int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (log < 0) fail("its log cannot be written: %s", strerror(errno));
  if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
    fail("its input and output cannot be opened: %s", strerror(errno));
}

/* The arguments that a number announces; the number is what `*at` points to, and `*at` is moved behind them. */
static char **counted(char ***at, char **end, int each, int *count) {
  *count = *at < end ? atoi(**at) : -1;
  if (*count < 0 || *count > (end - *at - 1) / each) fail("begin was called with nonsense");
  char **first = *at + 1;
  *at = first + (size_t)*count * (size_t)each;
  return first;
}

int main(int argc, char **argv) {
  if (argc < 7) return 2;
  directory = atoi(argv[1]);
  if (fcntl(directory, F_SETFD, FD_CLOEXEC) != 0) return 2;
  be_as_new();
  write_pid();
  open_streams(argv[2]);
  int count, ways;
  char **at = argv + 4, **overlays = counted(&at, argv + argc, 3, &count);
  char **through = counted(&at, argv + argc, 1, &ways);
  if (at >= argv + argc) fail("begin was called with nonsense");
  enter_view(overlays, count, through, ways);
  if (chdir(argv[3]) != 0) fail("its working directory cannot be entered: %s", strerror(errno));
  execute(at);
  int reason = errno;
  char temporary[NAME_BYTES];
  FILE *out = made(temporary, "spawn-error");
  if (out) {
    fputs("{\"command\": ", out);
    put_string(out, at[0]);
    fputs(", \"reason\": ", out);
    put_string(out, reason == ENOENT || reason == ENOTDIR ? "not found" : strerror(reason));
    fprintf(out, ", \"errno\": %d}", reason);
    appear(out, temporary, "spawn-error");
  }
  return 127;
}
