/* The first process of a warm worker's container (docs/workers.md): runs one attempt after another, each as a wrapper
 * (run.c) of its own, and leaves nothing of one to the next.
 *
 * Why C: as run.c. Why not in run.c: an attempt in a Pod of its own has nothing to do with any of this.
 *
 * Two more modes are for a first process that is the image's Python (first_process.py): `--next` is what lies between
 * two attempts, as a process that becomes the wrapper of the second; `--call` (call.h) has the first process carry out
 * a component, in an attempt.
 *
 * Invariants: it is PID 1 of its container, so that SIGKILL to all others ends every process of an attempt, whatever
 * that did, and nothing that an attempt sends stops or kills it. While an attempt runs, nothing of what it can write is
 * believed. Between two attempts there is no other process: then only the agent writes. What cannot be cleared, or is
 * not as it was at the beginning, ends the worker, and no next attempt begins.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "call.h"

/* Of Linux; not every C library names it. */
#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif
#define OWN_FAILURE 125
#define WORK_BYTES (8L << 20)
#define MOST_WORDS 65536
#define TOKEN_BYTES 64
#define FIRST_TOKEN "first"
#define CLEARING_MILLIS 30000
#define MAX_CLEARED 64
#define MARK "::penstock-attempt "
/* Where an attempt reaches a first process that carries out components. */
#define CALLS "call"
#define CALLS_WAITING 64
/* What `--next` is given, besides the container's: a socket to the first process, and both ends of a pipe. */
#define FIRST_PROCESS 3
#define KEPT_FROM 4
#define KEPT_TO 5

static const char *share, *wrapper, *message_path = "/dev/termination-log";
static const char *cleared[MAX_CLEARED];
static int cleared_count, leaving;
static sigset_t given;
static mode_t given_umask;

/* --- words ----------------------------------------------------------------------------------------------------- */

static void put_text(int file, const char *text) {
  size_t left = strlen(text);
  while (left) {
    ssize_t done = write(file, text, left);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return;
    text += done;
    left -= done;
  }
}

/* Ends the worker: what it says is for people, and in the container's termination message. */
static _Noreturn void fail(const char *what, const char *name, int error) {
  char text[1024];
  snprintf(text, sizeof text, "%s%s%s%s", what, name, error ? ": " : "", error ? strerror(error) : "");
  put_text(2, "penstock: ");
  put_text(2, text);
  put_text(2, "\n");
  int file = open(message_path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NONBLOCK);
  if (file >= 0) put_text(file, text);
  _exit(OWN_FAILURE);
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* --- what was there at the beginning --------------------------------------------------------------------------- */

/* A process of the same user may change these of another one, without having to trace it. */
struct conditions {
  struct rlimit limits[RLIM_NLIMITS];
  cpu_set_t processors;
  int priority, policy, io_priority;
};
static struct conditions at_first;

/* Of the first process, whoever asks. */
static void look_at_conditions(struct conditions *found) {
  memset(found, 0, sizeof *found);
  for (int i = 0; i < RLIM_NLIMITS; i++)
    if (prlimit(1, i, 0, found->limits + i)) fail("the limits of the worker cannot be read", "", errno);
  sched_getaffinity(1, sizeof found->processors, &found->processors);
  found->priority = getpriority(PRIO_PROCESS, 1);
  found->policy = syscall(SYS_sched_getscheduler, 1);
  found->io_priority = syscall(SYS_ioprio_get, 1, 1);
}

static void check_conditions(void) {
  struct conditions found;
  look_at_conditions(&found);
  if (memcmp(&found, &at_first, sizeof found))
    fail("an attempt changed the limits, the priority or the processors of the worker", "", 0);
}

/* --- clearing -------------------------------------------------------------------------------------------------- */

/* As `backends/trees.py`: depth costs neither stack, nor open files, nor long paths. Nobody else is there any more, so
 * that nothing changes between a look and what follows. */

static int64_t clear_until;
static unsigned long removed, moved;
static dev_t device;

static int open_directory(int parent, const char *name) {
  int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  int file = openat(parent, name, flags);
  struct stat status;
  if (file < 0 && errno == EACCES && !fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) && S_ISDIR(status.st_mode)) {
    fchmodat(parent, name, 0700, 0);
    file = openat(parent, name, flags);
  }
  if (file >= 0 && !fstat(file, &status) && (status.st_mode & 0700) != 0700) fchmod(file, 0700);
  return file;
}

static void in_time(const char *name) {
  if (now() > clear_until) fail("what an attempt left cannot be removed in time: ", name, 0);
}

static int each_name(int directory, int (*with)(int, const char *, int), int other) {
  int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
  DIR *stream = copy < 0 ? 0 : fdopendir(copy);
  if (!stream) fail("a directory that an attempt left cannot be read", "", errno);
  struct dirent *entry;
  while ((entry = readdir(stream)))
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
      in_time(entry->d_name);
      result |= with(directory, entry->d_name, other);
    }
  closedir(stream);
  return result;
}

static int remove_name(int directory, const char *name) {
  if (unlinkat(directory, name, 0) && unlinkat(directory, name, AT_REMOVEDIR)) return 0;
  removed++;
  return 1;
}

static int remove_or_move_up(int directory, const char *name, int top) {
  char up[64];
  if (remove_name(directory, name)) return 0;
  /* Its link to the directory above changes, which takes the right to write in it. */
  int inner = open_directory(directory, name);
  if (inner >= 0) close(inner);
  snprintf(up, sizeof up, ".penstock-cleared-%lu", moved++);
  if (!renameat(directory, name, top, up)) removed++;
  return 0;
}

/* Two volumes of a node may be one file system: a mount is known by itself, from Linux 5.8 on. */
static int is_mounted(int directory, const char *name) {
  struct statx status;
  memset(&status, 0, sizeof status);
  return !syscall(SYS_statx, directory, name, AT_SYMLINK_NOFOLLOW, 0, &status) &&
         (status.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int remove_entry(int directory, const char *name, int other) {
  struct stat status;
  (void)other;
  if (remove_name(directory, name)) return 0;
  /* What is mounted there is cleared by itself. */
  if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(status.st_mode) || status.st_dev != device ||
      is_mounted(directory, name))
    return 0;
  int inner = open_directory(directory, name);
  if (inner < 0) return 0;
  each_name(inner, remove_or_move_up, directory);
  close(inner);
  remove_name(directory, name);
  return 0;
}

static int is_left(int directory, const char *name, int other) {
  struct stat status;
  (void)other;
  if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW)) return 1;
  return status.st_dev == device && !is_mounted(directory, name);
}

static void clear_directory(const char *path) {
  int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat status;
  if (directory < 0 && errno == ENOENT) return;
  if (directory < 0 || fstat(directory, &status)) fail("a directory of attempts cannot be read: ", path, errno);
  device = status.st_dev;
  while (each_name(directory, is_left, 0)) {
    unsigned long before = removed;
    each_name(directory, remove_entry, 0);
    if (removed == before) fail("what an attempt left cannot be removed: ", path, 0);
  }
  close(directory);
}

/* Shared memory, semaphores and queues of System V stay when their processes are gone. */
static void clear_ipc(void) {
  union {
    int value;
    struct semid_ds *status;
    struct seminfo *info;
  } argument;
  struct shmid_ds shared;
  struct semid_ds semaphore;
  struct seminfo info;
  struct msqid_ds queue;
  struct shm_info shared_info;
  struct msginfo queue_info;
  argument.info = &info;
  int shared_most = shmctl(0, SHM_INFO, (struct shmid_ds *)&shared_info);
  int semaphore_most = semctl(0, 0, SEM_INFO, argument);
  int queue_most = msgctl(0, MSG_INFO, (struct msqid_ds *)&queue_info);
  for (int i = 0, id; i <= shared_most; i++)
    if ((id = shmctl(i, SHM_STAT, &shared)) >= 0 && shmctl(id, IPC_RMID, 0)) fail("shared memory stays", "", errno);
  argument.status = &semaphore;
  for (int i = 0, id; i <= semaphore_most; i++)
    if ((id = semctl(i, 0, SEM_STAT, argument)) >= 0 && semctl(id, 0, IPC_RMID)) fail("semaphores stay", "", errno);
  for (int i = 0, id; i <= queue_most; i++)
    if ((id = msgctl(i, MSG_STAT, &queue)) >= 0 && msgctl(id, IPC_RMID, 0)) fail("a queue stays", "", errno);
}

static void clear(void) {
  clear_until = now() + CLEARING_MILLIS;
  for (int i = 0; i < cleared_count; i++) clear_directory(cleared[i]);
  clear_directory(share);
  clear_ipc();
  check_conditions();
  truncate(message_path, 0);
}

/* Ends every other process of the container, and waits until they are gone. */
static void end_all(int signals) {
  int64_t until = now() + CLEARING_MILLIS;
  struct signalfd_siginfo info;
  for (;;) {
    int nobody = kill(-1, SIGKILL) && errno == ESRCH;
    while (waitpid(-1, 0, WNOHANG) > 0) continue;
    if (nobody && waitpid(-1, 0, WNOHANG) < 0 && errno == ECHILD) return;
    if (now() > until) fail("a process of an attempt cannot be ended", "", 0);
    struct pollfd event = {.fd = signals, .events = POLLIN};
    if (poll(&event, 1, 10) > 0 && read(signals, &info, sizeof info) > 0 && info.ssi_signo == SIGTERM) leaving = 1;
  }
}

/* --- the agent ------------------------------------------------------------------------------------------------- */

/* The FIFO gets its name once it is open, so that whoever finds it can write. The name of one that is made while an
 * attempt's files are there has a token in it that the attempt cannot know. */
static int open_fifo(const char *kind, const char *fifo_token) {
  char made[PATH_MAX], path[PATH_MAX];
  snprintf(made, sizeof made, "%s/.%s-%s", share, kind, fifo_token);
  snprintf(path, sizeof path, "%s/%s-%s", share, kind, fifo_token);
  int file = mkfifo(made, 0666) ? -1 : open(made, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (file < 0 || rename(made, path)) fail("the worker cannot use ", share, errno);
  return file;
}

static void remove_fifo(int file, const char *kind, const char *fifo_token) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s-%s", share, kind, fifo_token);
  unlink(path);
  close(file);
}

static void check_token(const char *fifo_token) {
  size_t length = strspn(fifo_token, "0123456789abcdefghijklmnopqrstuvwxyz");
  if (fifo_token[length] || !length || length >= TOKEN_BYTES) fail("the agent's instructions have no token", "", 0);
}

/* Waits for input from the agent; 0 when the Pod is to end. */
static int wait_for(int file, int signals) {
  while (!leaving) {
    struct pollfd events[2] = {{.fd = file, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    if (poll(events, 2, -1) < 0) continue;
    if (events[1].revents && read(signals, &info, sizeof info) > 0 && info.ssi_signo != SIGCHLD) leaving = 1;
    if (events[0].revents) return 1;
  }
  return 0;
}

static size_t read_up_to(int file, int signals, char *data, size_t size, int until_nul) {
  size_t used = 0;
  while (used < size) {
    ssize_t got = read(file, data + used, until_nul ? 1 : size - used);
    if (got > 0) {
      used += got;
      if (until_nul && !data[used - 1]) break;
    } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      if (!wait_for(file, signals)) return 0;
    } else {
      fail("the agent's instructions cannot be read", "", errno);
    }
  }
  return used;
}

/* An attempt: its token between agent and worker, one for the log, the wrapper's arguments, and variables besides those
 * of the container. All of it points into one piece of memory. */
struct work {
  char *data, *token, *log_token, **arguments, **variables;
  size_t size;
};

static char *next_word(struct work *work, size_t *at) {
  char *word = work->data + *at;
  size_t length = *at < work->size ? strnlen(word, work->size - *at) : 0;
  if (*at >= work->size || *at + length >= work->size) fail("the agent's instructions are incomplete", "", 0);
  *at += length + 1;
  return word;
}

static char **next_words(struct work *work, size_t *at) {
  long count = strtol(next_word(work, at), 0, 10);
  if (count < 0 || count > MOST_WORDS) fail("the agent's instructions have too many words", "", 0);
  char **words = calloc(count + 1, sizeof *words);
  if (!words) fail("the worker has no memory", "", errno);
  for (long i = 0; i < count; i++) words[i] = next_word(work, at);
  return words;
}

/* `LENGTH NUL` and so many bytes: words that each end with NUL: both tokens; the number of arguments, the wrapper's
 * name included, and these; the number of variables and these, as NAME=VALUE. 0 when the Pod is to end, or nothing but
 * NUL came: there is to be no attempt. */
static int receive(int file, int signals, struct work *work) {
  char length[24] = "";
  size_t at = 0;
  memset(work, 0, sizeof *work);
  if (!read_up_to(file, signals, length, sizeof length - 1, 1) || !*length) return 0;
  long size = strtol(length, 0, 10);
  if (size <= 0 || size > WORK_BYTES) fail("the agent's instructions are too long: ", length, 0);
  work->data = malloc(size);
  if (!work->data) fail("the worker has no memory", "", errno);
  work->size = size;
  if (!read_up_to(file, signals, work->data, size, 0)) return 0;
  work->token = next_word(work, &at);
  work->log_token = next_word(work, &at);
  check_token(work->token);
  check_token(work->log_token);
  work->arguments = next_words(work, &at);
  work->variables = next_words(work, &at);
  return 1;
}

static void let_go(struct work *work) {
  free(work->arguments);
  free(work->variables);
  free(work->data);
}

/* --- an attempt ------------------------------------------------------------------------------------------------ */

static void mark(const char *log_token, const char *what) {
  put_text(1, "\n" MARK);
  put_text(1, log_token);
  put_text(1, what);
}

static _Noreturn void become_wrapper(const struct work *work) {
  for (char **variable = work->variables; *variable; variable++) putenv(*variable);
  umask(given_umask);
  sigprocmask(SIG_SETMASK, &given, 0);
  execv(wrapper, work->arguments);
  _exit(OWN_FAILURE);
}

static pid_t start(const struct work *work) {
  pid_t child = fork();
  if (child < 0) fail("the attempt cannot be started", "", errno);
  if (child == 0) become_wrapper(work);
  return child;
}

/* Until the wrapper has ended. What comes over `stop` may come from the attempt itself: it can only end itself. */
static void supervise(pid_t child, int stop, int signals) {
  for (;;) {
    struct pollfd events[2] = {{.fd = signals, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
    struct signalfd_siginfo info;
    char what[64];
    if (poll(events, 2, -1) < 0) continue;
    if (events[1].revents) {
      ssize_t got = read(stop, what, sizeof what);
      for (ssize_t i = 0; i < got; i++)
        if (what[i] == 'T')
          kill(child, SIGTERM);
        else if (what[i] == 'K')
          kill(-1, SIGKILL);
    }
    if (!events[0].revents || read(signals, &info, sizeof info) != sizeof info) continue;
    if (info.ssi_signo == SIGCHLD) {
      pid_t ended;
      while ((ended = waitpid(-1, 0, WNOHANG)) > 0)
        if (ended == child) return;
    } else {
      leaving = 1;
      kill(child, SIGTERM);
    }
  }
}

/* The agent says when it has taken what the attempt left, and the token of the next one; or nothing of it: then, and
 * when the Pod is to end, 0. */
static int learn_next(const char *attempt_token, int signals, char next[TOKEN_BYTES + 1]) {
  int done = open_fifo("done", attempt_token);
  memset(next, 0, TOKEN_BYTES + 1);
  if (!read_up_to(done, signals, next, TOKEN_BYTES, 1) || !next[0]) return 0;
  check_token(next);
  remove_fifo(done, "done", attempt_token);
  return 1;
}

/* --- the part of a first process that is another program -------------------------------------------------------- */

/* What is kept from one attempt to the next. It lies in a pipe meanwhile, whose ends no attempt has: the first process
 * forks processes of attempts, so that it must know no secret. */
struct kept {
  struct conditions at_first;
  char next[TOKEN_BYTES + 1], token[TOKEN_BYTES + 1], log_token[TOKEN_BYTES + 1];
};

/* 0 before the first attempt. */
static int take_kept(struct kept *kept) {
  memset(kept, 0, sizeof *kept);
  ssize_t got = read(KEPT_FROM, kept, sizeof *kept);
  if (got == sizeof *kept) return 1;
  if (got >= 0 || errno != EAGAIN) fail("what the worker keeps cannot be read", "", got < 0 ? errno : 0);
  return 0;
}

static void keep(struct kept *kept, const struct work *work) {
  strcpy(kept->token, work->token);
  strcpy(kept->log_token, work->log_token);
  if (write(KEPT_TO, kept, sizeof *kept) != sizeof *kept) fail("what the worker keeps cannot be written", "", errno);
}

/* Everything was cleared: the name is free. */
static int open_calls(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int calls = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/" CALLS, share) >= sizeof address.sun_path)
    fail("the path is too long for a socket: ", share, 0);
  if (calls < 0 || bind(calls, (struct sockaddr *)&address, sizeof address) || listen(calls, CALLS_WAITING))
    fail("the worker cannot make a socket in ", share, errno);
  return calls;
}

/* Tells the first process that the attempt begins, and gives it what it needs for it. */
static void announce(int stop, int calls) {
  int files[2] = {stop, calls};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof files)];
  } control;
  char byte = 'B';
  struct iovec data = {.iov_base = &byte, .iov_len = 1};
  struct msghdr whole = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  memset(&control, 0, sizeof control);
  struct cmsghdr *rights = CMSG_FIRSTHDR(&whole);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof files);
  memcpy(CMSG_DATA(rights), files, sizeof files);
  if (sendmsg(FIRST_PROCESS, &whole, MSG_NOSIGNAL) != 1) fail("the first process does not listen", "", errno);
}

/* From the end of one attempt to the beginning of the next. Whoever started it has ended all other processes. */
static int go_on(int ends, int signals) {
  struct kept kept;
  struct work work;
  /* By the C library that started this, its own signals are ignored. */
  struct {
    void *handler, *flags, *restorer, *mask;
  } by_default = {0};
  for (int number = 32; number < 35; number++) syscall(SYS_rt_sigaction, number, &by_default, 0, 8);
  for (int file = FIRST_PROCESS; file <= KEPT_TO; file++) fcntl(file, F_SETFD, FD_CLOEXEC);
  if (take_kept(&kept)) {
    at_first = kept.at_first;
    mark(kept.log_token, " end\n");
    if (ends || !learn_next(kept.token, signals, kept.next)) return 0;
  } else {
    look_at_conditions(&at_first);
    kept.at_first = at_first;
    strcpy(kept.next, FIRST_TOKEN);
  }
  clear();
  int stop = open_fifo("stop", kept.next), instructions = open_fifo("work", kept.next), calls = open_calls();
  if (!receive(instructions, signals, &work)) return 0;
  remove_fifo(instructions, "work", kept.next);
  keep(&kept, &work);
  mark(work.log_token, " begin\n");
  announce(stop, calls);
  become_wrapper(&work);
}

/* --- the worker ------------------------------------------------------------------------------------------------- */

static int take_attempts(int signals) {
  char next[TOKEN_BYTES + 1] = FIRST_TOKEN;
  look_at_conditions(&at_first);
  while (!leaving) {
    struct work work;
    clear();
    int stop = open_fifo("stop", next), instructions = open_fifo("work", next);
    if (!receive(instructions, signals, &work)) break;
    remove_fifo(instructions, "work", next);
    mark(work.log_token, " begin\n");
    supervise(start(&work), stop, signals);
    end_all(signals);
    mark(work.log_token, " end\n");
    remove_fifo(stop, "stop", next);
    if (leaving || !learn_next(work.token, signals, next)) break;
    let_go(&work);
  }
  return 0;
}

static void read_options(int count, char **arguments) {
  for (int at = 0; at < count; at += 2) {
    const char *name = arguments[at], *value = at + 1 < count ? arguments[at + 1] : 0;
    if (value && !strcmp(name, "--share"))
      share = value;
    else if (value && !strcmp(name, "--run"))
      wrapper = value;
    else if (value && !strcmp(name, "--message"))
      message_path = value;
    else if (value && !strcmp(name, "--clear") && cleared_count < MAX_CLEARED)
      cleared[cleared_count++] = value;
    else
      fail("the worker does not understand ", name, 0);
  }
  if (!share || !wrapper) fail("the worker needs --share and --run", "", 0);
}

int main(int count, char **arguments) {
  const char *mode = count > 1 ? arguments[1] : "";
  if (!strcmp(mode, "--call")) return call_component(count - 2, arguments + 2);
  int ends = !strcmp(mode, "--last"), part = ends || !strcmp(mode, "--next");
  sigset_t own;
  read_options(count - 1 - part, arguments + 1 + part);
  if ((part ? getppid() : getpid()) != 1) fail("a worker has to be the first process of its container", "", 0);
  /* So that an attempt, which is the same user, can neither read nor change its memory. */
  if (prctl(PR_SET_DUMPABLE, 0)) fail("the worker's memory cannot be protected", "", errno);
  /* Of two pipes nobody knows what came first: by one, what an attempt says stays between its marks. */
  if (dup2(1, 2) < 0) fail("the worker's output cannot be made one", "", errno);
  sigemptyset(&own);
  sigaddset(&own, SIGCHLD);
  sigaddset(&own, SIGTERM);
  sigaddset(&own, SIGINT);
  sigprocmask(SIG_BLOCK, &own, &given);
  int signals = signalfd(-1, &own, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) fail("the worker cannot receive signals", "", errno);
  given_umask = umask(0);
  return part ? go_on(ends, signals) : take_attempts(signals);
}
