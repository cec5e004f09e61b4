// A member of a ring in an epoll loop: prints what happens until so many members are alive, and leaves a second later.
//
//   epoll LISTEN [PEER] [MEMBERS]     e.g. epoll 127.0.0.1:0 127.0.0.1:9638 2

#include <butterfly.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static void must(butterfly_status status) {
  if (status == BUTTERFLY_OK) return;
  fprintf(stderr, "%s\n", butterfly_last_error());
  exit(1);
}

static const char *const health[] = {"unknown", "alive", "suspect", "confirmed", "departed"};

int main(int argc, char **argv) {
  butterfly_config config;
  must(butterfly_config_init(&config, sizeof config));
  config.listen = argc > 1 ? argv[1] : "127.0.0.1:0";
  config.name = "c";
  config.timing = "local";  // for one machine; NULL stands for "lan"
  size_t wanted = argc > 3 ? (size_t)atoi(argv[3]) : 2;

  butterfly *member;
  char addr[64];
  must(butterfly_new(&config, &member));
  must(butterfly_local_addr(member, addr));
  printf("listening on %s\n", addr);
  fflush(stdout);
  if (argc > 2 && *argv[2]) must(butterfly_join(member, argv[2]));
  const char *toml = "port = 6379";
  must(butterfly_announce(member, "redis.default", "acme/redis/7.2.1/20260101000000", (const uint8_t *)toml,
                          strlen(toml)));

  int loop = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event watched = {.events = EPOLLIN, .data = {.ptr = member}};
  if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, butterfly_fd(member), &watched) < 0) {
    perror("epoll");
    return 1;
  }
  time_t found = 0;  // when so many were alive
  for (bool left = false; !left;) {
    struct epoll_event ready[16];
    epoll_wait(loop, ready, 16, butterfly_timeout_ms(member));
    must(butterfly_process(member));
    butterfly_event event;
    while (butterfly_next_event(member, &event, sizeof event)) {
      if (event.kind == BUTTERFLY_MEMBER_CHANGED) {
        butterfly_member_changed changed = event.told.member_changed;
        printf("%s at %s: %s (%s)\n", changed.id, changed.addr, health[changed.to], event.text);
      }
      left |= event.kind == BUTTERFLY_LEFT;
    }
    butterfly_counts counts;
    must(butterfly_count(member, &counts, sizeof counts));
    if (!found && counts.alive >= wanted) found = time(NULL);
    // Not at once: the others have yet to find this member. To leave again is harmless.
    if (found && time(NULL) > found + 1) must(butterfly_leave(member));
  }
  butterfly_members *members = butterfly_members_new(member);
  for (butterfly_member row; butterfly_members_next(members, &row, sizeof row);)
    printf("%s %s %s%s\n", row.id, row.addr, health[row.health], row.is_self ? " (this one)" : "");
  butterfly_members_free(members);
  close(loop);
  butterfly_free(member);
}
