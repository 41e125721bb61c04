/* `worker --call SOCKET -- [NAME=VALUE]… MODULE SOURCE [ARG]…`: has a worker's first process, the image's Python
 * (first_process.py), carry out a lightweight component, and ends as that ended. The program of an attempt, under run.c.
 *
 * What the component shares with this process is handed over: stdin, stdout, stderr, the directory, the umask and the
 * variables. Signals that the wrapper passes on reach it once each.
 *
 * A request is four 32-bit numbers in the machine's order: the umask, how many words, how many variables, how many bytes
 * they have together; then these, each with a NUL behind it. With the first byte come four open files. The answer is the
 * process id of the component, and when it has ended, its wait status: 32-bit numbers.
 */
#ifndef PENSTOCK_CALL_H
#define PENSTOCK_CALL_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL_FAILURE 125
#define CALL_FILES 4

extern char **environ;

static _Noreturn void fail_call(const char *what, int error) {
  dprintf(2, "penstock: %s%s%s\n", what, error ? ": " : "", error ? strerror(error) : "");
  _exit(CALL_FAILURE);
}

static int connect_call(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), connected;
  if (strlen(path) >= sizeof address.sun_path) fail_call("the path of the worker's socket is too long", 0);
  strcpy(address.sun_path, path);
  do connected = connect(connection, (struct sockaddr *)&address, sizeof address);
  while (connected && errno == EINTR);
  if (connection < 0 || connected) fail_call("the worker's first process cannot be reached", errno);
  return connection;
}

static size_t words_bytes(char **words, uint32_t *count) {
  size_t size = 0;
  for (*count = 0; words[*count]; ++*count) size += strlen(words[*count]) + 1;
  return size;
}

static char *put_words(char *at, char **words) {
  for (; *words; words++) at = stpcpy(at, *words) + 1;
  return at;
}

static void send_files(int connection, const void *data, size_t size) {
  int files[CALL_FILES] = {0, 1, 2, open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof files)];
  } control;
  struct iovec piece = {.iov_base = (void *)data, .iov_len = size};
  struct msghdr whole = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
  memset(&control, 0, sizeof control);
  struct cmsghdr *rights = CMSG_FIRSTHDR(&whole);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof files);
  memcpy(CMSG_DATA(rights), files, sizeof files);
  if (sendmsg(connection, &whole, MSG_NOSIGNAL) != (ssize_t)size)
    fail_call("the component cannot be handed to the worker's first process", errno);
  close(files[CALL_FILES - 1]);
}

static void send_call(int connection, char **words) {
  uint32_t head[4];
  size_t size = words_bytes(words, head + 1) + words_bytes(environ, head + 2);
  mode_t mask = umask(0);
  umask(mask);
  head[0] = mask;
  head[3] = size;
  char *body = malloc(size + 1), *at = body;
  if (!body) fail_call("there is no memory for the component", errno);
  put_words(put_words(body, words), environ);
  send_files(connection, head, sizeof head);
  while (size) {
    ssize_t sent = send(connection, at, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) fail_call("the component cannot be handed to the worker's first process", errno);
    at += sent;
    size -= sent;
  }
  free(body);
}

/* 0 when nothing comes any more. */
static int read_number(int connection, int32_t *number) {
  ssize_t got;
  do got = recv(connection, number, sizeof *number, MSG_WAITALL);
  while (got < 0 && errno == EINTR);
  return got == sizeof *number;
}

/* Ends as a process with this status ended, without a core of its own. */
static _Noreturn void end_as(int status) {
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  int number = WTERMSIG(status);
  sigset_t all;
  prctl(PR_SET_DUMPABLE, 0);
  signal(number, SIG_DFL);
  raise(number);
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, 0);
  _exit(128 + number);
}

static int call_component(int count, char **arguments) {
  static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
  sigset_t own;
  int32_t component, status;
  if (count < 4 || strcmp(arguments[1], "--")) fail_call("usage: --call SOCKET -- MODULE SOURCE ARG…", 0);
  /* Those that come before there is a component wait for it. */
  sigemptyset(&own);
  for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++) sigaddset(&own, passed_on[i]);
  sigprocmask(SIG_BLOCK, &own, 0);
  int connection = connect_call(arguments[0]), signals = signalfd(-1, &own, SFD_CLOEXEC);
  if (signals < 0) fail_call("signals cannot be received", errno);
  send_call(connection, arguments + 2);
  if (!read_number(connection, &component) || component <= 1) fail_call("the component could not be started", 0);
  for (;;) {
    struct pollfd events[2] = {{.fd = connection, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    if (poll(events, 2, -1) < 0) continue;
    if (events[0].revents) {
      if (!read_number(connection, &status)) fail_call("nobody says how the component ended", 0);
      end_as(status);
    }
    if (events[1].revents && read(signals, &info, sizeof info) == sizeof info) {
      if (kill(-component, info.ssi_signo)) kill(component, info.ssi_signo);
    }
  }
}

#endif
