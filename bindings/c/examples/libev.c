// A member of a ring in a libev loop, beside whatever else that loop serves: leaves a second after two members are alive.
//
//   libev LISTEN [PEER]

#include <butterfly.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

static butterfly *member;
static ev_io readable;
static ev_timer deadline;
static ev_timer leaving;
static bool left_soon;

static void must(butterfly_status status) {
  if (status == BUTTERFLY_OK) return;
  fprintf(stderr, "%s\n", butterfly_last_error());
  exit(1);
}

// Called when the descriptor is readable, and when the deadline has come.
static void process(struct ev_loop *loop) {
  must(butterfly_process(member));
  butterfly_event event;
  while (butterfly_next_event(member, &event, sizeof event)) {
    if (event.kind == BUTTERFLY_MEMBER_CHANGED)
      printf("%s: %d -> %d\n", event.told.member_changed.id, event.told.member_changed.from, event.told.member_changed.to);
    if (event.kind == BUTTERFLY_LEFT) ev_break(loop, EVBREAK_ALL);
  }
  butterfly_counts counts;
  must(butterfly_count(member, &counts, sizeof counts));
  // Not at once: the other one has yet to find this member.
  if (counts.alive >= 2 && !left_soon) ev_timer_start(loop, &leaving);
  left_soon |= counts.alive >= 2;
  // The deadline is another one after each call.
  int64_t timeout = butterfly_timeout_us(member);
  ev_timer_stop(loop, &deadline);
  if (timeout < 0) return;
  ev_now_update(loop);
  ev_timer_set(&deadline, (double)timeout / 1e6, 0);
  ev_timer_start(loop, &deadline);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events) {
  (void)watcher, (void)events;
  process(loop);
}

static void on_deadline(struct ev_loop *loop, ev_timer *watcher, int events) {
  (void)watcher, (void)events;
  process(loop);
}

static void on_leaving(struct ev_loop *loop, ev_timer *watcher, int events) {
  (void)watcher, (void)events;
  must(butterfly_leave(member));
  process(loop);
}

int main(int argc, char **argv) {
  struct ev_loop *loop = ev_default_loop(0);
  butterfly_config config;
  must(butterfly_config_init(&config, sizeof config));
  config.listen = argc > 1 ? argv[1] : "127.0.0.1:0";
  config.timing = "local";
  must(butterfly_new(&config, &member));
  if (argc > 2) must(butterfly_join(member, argv[2]));
  ev_io_init(&readable, on_readable, butterfly_fd(member), EV_READ);
  ev_timer_init(&deadline, on_deadline, 0, 0);
  ev_timer_init(&leaving, on_leaving, 1.0, 0);
  ev_io_start(loop, &readable);
  ev_timer_start(loop, &deadline);
  ev_run(loop, 0);
  butterfly_free(member);
}
