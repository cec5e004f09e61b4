// Butterfly: a member of a ring, in any event loop that can watch a descriptor.
//
// Watch the descriptor of butterfly_fd() for readability, wait no longer than butterfly_timeout_ms(), then call
// butterfly_process() and take the events of butterfly_next_event(). Nothing here blocks but butterfly_new() and
// butterfly_free(), which read and write the data directory.
//
// Threads: a member may be handed from one thread to another, and is used by one at a time. It starts no thread but
// one that writes its data directory, if it has one, and one for each lookup of a name of butterfly_join().
// Texts are UTF-8 and end with a zero byte. Who gets a pointer to something that a member or a list owns
// finds it valid until the call that the function names.
// Functions that can fail return a butterfly_status; butterfly_last_error() has the sentence. No function ends the
// process: a bug in here gives BUTTERFLY_BUG, and that member can only be freed.
// Structures may get more fields at their ends: who fills them in is told how many bytes the caller knows.
//
// This file is generated: change bindings/c/src, and run `BLESS=1 cargo test --test header`.

#ifndef BUTTERFLY_H
#define BUTTERFLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How a call ended. Numbers are never given another meaning.
typedef enum {
  // It did what it says.
  BUTTERFLY_OK = 0,
  // An argument is NULL that must not be, does not read, or is out of range.
  BUTTERFLY_BAD_ARGUMENT = 1,
  // The member cannot start: an address, the data directory, or the system is in the way.
  BUTTERFLY_CANNOT_START = 2,
  // The command makes no sense now, or there is no room for what it brings.
  BUTTERFLY_REFUSED = 3,
  // There is no such thing.
  BUTTERFLY_NOT_FOUND = 4,
  // The system's poll failed.
  BUTTERFLY_SYSTEM = 5,
  // This library has a bug. The member can only be freed.
  BUTTERFLY_BUG = 6,
} butterfly_status;

// How much a log line matters, the most first.
typedef enum {
  // Something does not work.
  BUTTERFLY_ERROR = 1,
  // Something is not as it should be.
  BUTTERFLY_WARN = 2,
  // What an operator may want to know.
  BUTTERFLY_INFO = 3,
  // What happens, in detail.
  BUTTERFLY_DEBUG = 4,
  // Everything.
  BUTTERFLY_TRACE = 5,
} butterfly_level;

// What happened, and which member of the event's union tells of it. A later version may have more: pass over those.
typedef enum {
  // Something that this version's structure has no place for; `text` has it in words.
  BUTTERFLY_OTHER = 0,
  // A member became known, or its health changed: `member_changed`.
  BUTTERFLY_MEMBER_CHANGED = 1,
  // A member is at another address than before: `moved`.
  BUTTERFLY_MEMBER_MOVED = 2,
  // This member heard something untrue of itself, and refuted it. At most once a second.
  BUTTERFLY_REFUTED = 3,
  // It is time to resolve the name of a seed: `seed`; see butterfly_join_named().
  BUTTERFLY_SEED_DUE = 4,
  // Something that came was dropped; `text` says why, `from` whence.
  BUTTERFLY_REJECTED = 5,
  // This member goes on under a new id: `id`.
  BUTTERFLY_NEW_ID = 6,
  // A member of another ring sent a message; `text` is its ring's name, empty if it has none, `from` where it is.
  BUTTERFLY_OTHER_RING = 7,
  // Two processes use one id: `id`.
  BUTTERFLY_ID_CONFLICT = 8,
  // butterfly_process() was called late: `lag_us`.
  BUTTERFLY_LAGGED = 9,
  // A rumor is new here, or says something else than before: `rumor`.
  BUTTERFLY_RUMOR_CHANGED = 10,
  // A rumor is held no more: `rumor`.
  BUTTERFLY_RUMOR_GONE = 11,
  // A configuration or file that was given here lost against another of the same version: `rumor`.
  BUTTERFLY_RUMOR_OVERRULED = 12,
  // A group has a leader: `leader`.
  BUTTERFLY_LEADER_ELECTED = 13,
  // This member was told to depart for good: it has to end, and its id cannot be used again.
  BUTTERFLY_EXPELLED = 14,
  // Leaving is done: the member can be freed.
  BUTTERFLY_LEFT = 15,
  // This member has heard no other for some periods, though it knows some: what it believes of them is old.
  // `silent_us`: since when.
  BUTTERFLY_ISOLATED = 16,
  // It hears another one again, or knows none any more. `silent_us`: how long it heard nobody.
  BUTTERFLY_ISOLATION_ENDED = 17,
  // A member has another name than before: `renamed`.
  BUTTERFLY_MEMBER_RENAMED = 18,
  // A member answers as another process than before, it was started again: `restarted`.
  BUTTERFLY_MEMBER_RESTARTED = 19,
  // A member says something else of itself than before: `id`; see butterfly_tags_new().
  BUTTERFLY_TAGS_CHANGED = 20,
  // A dead member was forgotten: `id`; `text` is the name that it had.
  BUTTERFLY_MEMBER_FORGOTTEN = 21,
  // A user event, of this member's own too: `user_event`; each comes once, those of one sender in its order.
  BUTTERFLY_USER_EVENT = 22,
  // A member, maybe this one, asks this one: `user_event`; answer with butterfly_answer_query().
  BUTTERFLY_QUERY = 23,
  // What a member says to a question of butterfly_query(): `answer`.
  BUTTERFLY_ANSWER = 24,
  // No more answers to a question of butterfly_query() are taken: `query`.
  BUTTERFLY_QUERY_OVER = 25,
} butterfly_kind;

// How a member fares, from best to worst.
typedef enum {
  // It is not known.
  BUTTERFLY_UNKNOWN = 0,
  // It answers, or nobody has said otherwise.
  BUTTERFLY_ALIVE = 1,
  // It did not answer a probe, and may still refute that.
  BUTTERFLY_SUSPECT = 2,
  // Nobody vouched for it in time: it counts as dead.
  BUTTERFLY_CONFIRMED = 3,
  // It left, or was dead for so long that it is given up.
  BUTTERFLY_DEPARTED = 4,
} butterfly_health;

// How a member answers a question.
typedef enum {
  // It has the question, and may answer.
  BUTTERFLY_RECEIVED = 0,
  // It answers.
  BUTTERFLY_ANSWERED = 1,
  // It cannot answer; the event's `text` says why.
  BUTTERFLY_NO_ANSWER = 2,
} butterfly_answered;

// A member of a ring.
typedef struct butterfly butterfly;

// Members, as they were when the list was made.
typedef struct butterfly_members butterfly_members;

// Services, as they were when the list was made.
typedef struct butterfly_services butterfly_services;

// The tags of a member, as they were when the list was made.
typedef struct butterfly_tags butterfly_tags;

// Takes a log line: the context as it was given, a butterfly_level, where in the library it comes from, and the line.
// The texts are valid during the call only.
typedef void (*butterfly_log)(void *context,
                              butterfly_level level,
                              const char *target,
                              const char *line);

// What a member is told before it starts; butterfly_config_init() gives the defaults. Nothing of it is needed once
// butterfly_new() has returned.
typedef struct {
  // Bytes of this structure that the caller knows: set by butterfly_config_init().
  size_t size;
  // The UDP address to bind, "IP:PORT"; port 0 lets the system choose. Needed.
  const char *listen;
  // Where others reach this member, "IP:PORT", if that is not where it listens; or NULL.
  const char *advertise;
  // A name for people, at most 64 bytes: a longer one is cut, and the log says so; or NULL.
  const char *name;
  // Its id, 32 lowercase hexadecimal digits; NULL: the one in the data directory, else a random one.
  const char *id;
  // The name of its ring, the same at all members; or NULL.
  const char *ring;
  // How fast it goes: "lan" (NULL stands for it), "wan", "habitat" or "local". The same at all members.
  const char *timing;
  // Where it keeps its id, its incarnation and a snapshot of all members and rumors; NULL: nowhere.
  const char *data_dir;
  // Texts of ring key files: the first seals, any opens. NULL if there are none: everything is plain.
  const char *const *ring_keys;
  // How many there are.
  size_t ring_key_count;
  // Bytes of rumors that it holds at most; 0: the default. The same at all members.
  size_t store_limit;
  // The TCP port of its gossip; 0: the same number as the UDP port; -1: the system chooses.
  int32_t gossip_port;
  // Whether it takes part in membership alone, without gossip and its TCP port.
  bool no_gossip;
  // Whether others probe it for ever, so that partitions heal through it.
  bool persistent;
} butterfly_config;

// A member became known, or its health changed.
typedef struct {
  // Who: 32 hexadecimal digits.
  char id[33];
  // Where it is, "IP:PORT".
  char addr[64];
  // Its health before.
  butterfly_health from;
  // Its health now.
  butterfly_health to;
  // The incarnation of the record that says so.
  uint64_t incarnation;
  // Its name, empty if it has none. Valid until the next butterfly_next_event().
  const char *name;
} butterfly_member_changed;

// A member is at another address than before, or takes gossip at another port.
typedef struct {
  // Who: 32 hexadecimal digits.
  char id[33];
  // Where it was, "IP:PORT".
  char from[64];
  // Where it is, "IP:PORT"; as before, if only its port for gossip changed.
  char to[64];
  // Its TCP port for gossip; 0: it takes none.
  uint16_t gossip_port;
  // Its name, empty if it has none. Valid until the next butterfly_next_event().
  const char *name;
} butterfly_moved;

// A member has another name than before.
typedef struct {
  // Who: 32 hexadecimal digits.
  char id[33];
  // Its name before, empty if it had none. Valid until the next butterfly_next_event().
  const char *before;
  // Its name now. Valid until the next butterfly_next_event().
  const char *name;
} butterfly_renamed;

// A member was started again.
typedef struct {
  // Who: 32 hexadecimal digits.
  char id[33];
  // Its incarnation now.
  uint64_t incarnation;
  // Its name, empty if it has none. Valid until the next butterfly_next_event().
  const char *name;
} butterfly_restarted;

// Which rumor it is.
typedef struct {
  // Its kind, as on the wire: 2 service, 3 election, 4 configuration, 5 file, 8 update election, 9 departure.
  int32_t kind;
  // The service group; of a departure, "departure". Valid until the next butterfly_next_event().
  const char *key;
  // The member's id, or the file's name, or a constant. Valid until the next butterfly_next_event().
  const char *id;
  // Of BUTTERFLY_RUMOR_CHANGED: it was not held before.
  bool is_new;
} butterfly_rumor;

// A group has a leader.
typedef struct {
  // The kind of election: 3, or 8 for updates.
  int32_t kind;
  // The group. Valid until the next butterfly_next_event().
  const char *group;
  // Who leads: 32 hexadecimal digits.
  char leader[33];
  // The term of the election.
  uint64_t term;
} butterfly_leader;

// A user event, or a question.
typedef struct {
  // Who sent it: 32 hexadecimal digits.
  char by[33];
  // Of a question: its number at its asker's.
  uint64_t query;
  // What it is about. Valid until the next butterfly_next_event(), as is the payload.
  const char *name;
  // What it says.
  const uint8_t *payload;
  // How many bytes that is.
  size_t length;
  // Its Lamport time: higher than that of every event that its sender had heard of.
  uint64_t lamport;
} butterfly_user_event;

// What a member says to a question.
typedef struct {
  // The question's number.
  uint64_t query;
  // Who says it: 32 hexadecimal digits.
  char member[33];
  // How it answers.
  butterfly_answered how;
  // What it says. Valid until the next butterfly_next_event().
  const uint8_t *payload;
  // How many bytes that is.
  size_t length;
} butterfly_answer;

// What an event tells beside its kind.
typedef union {
  // Of BUTTERFLY_MEMBER_CHANGED.
  butterfly_member_changed member_changed;
  // Of BUTTERFLY_MEMBER_MOVED.
  butterfly_moved moved;
  // Of BUTTERFLY_MEMBER_RENAMED.
  butterfly_renamed renamed;
  // Of BUTTERFLY_MEMBER_RESTARTED.
  butterfly_restarted restarted;
  // Of BUTTERFLY_RUMOR_CHANGED, _GONE and _OVERRULED.
  butterfly_rumor rumor;
  // Of BUTTERFLY_LEADER_ELECTED.
  butterfly_leader leader;
  // Of BUTTERFLY_USER_EVENT and BUTTERFLY_QUERY.
  butterfly_user_event user_event;
  // Of BUTTERFLY_ANSWER.
  butterfly_answer answer;
  // Of BUTTERFLY_QUERY_OVER: the question's number.
  uint64_t query;
  // Of BUTTERFLY_SEED_DUE: the number that butterfly_join_named() gave.
  uint32_t seed;
  // Of BUTTERFLY_LAGGED: by how many microseconds.
  uint64_t lag_us;
  // Of BUTTERFLY_ISOLATED and BUTTERFLY_ISOLATION_ENDED: how many microseconds.
  uint64_t silent_us;
  // Of BUTTERFLY_NEW_ID, _ID_CONFLICT, _TAGS_CHANGED and _MEMBER_FORGOTTEN: 32 hexadecimal digits.
  char id[33];
  // Of BUTTERFLY_REJECTED and BUTTERFLY_OTHER_RING: where it came from, "IP:PORT".
  char from[64];
} butterfly_told;

// Something that happened.
typedef struct {
  // What.
  butterfly_kind kind;
  // In words: why a member's health changed, or what the kind says. Never NULL; valid until the next
  // butterfly_next_event() of this member, or until it is freed.
  const char *text;
  // The rest, by the kind.
  butterfly_told told;
} butterfly_event;

// Something that a member says of itself.
typedef struct {
  // 1 to 64 letters, digits and `-_.`
  const char *key;
  // UTF-8 without control characters; it may be empty.
  const char *value;
} butterfly_tag;

// How many members of each health there are, this one included.
typedef struct {
  // Those that are BUTTERFLY_ALIVE.
  size_t alive;
  // Those that are BUTTERFLY_SUSPECT.
  size_t suspect;
  // Those that are BUTTERFLY_CONFIRMED.
  size_t confirmed;
  // Those that are BUTTERFLY_DEPARTED.
  size_t departed;
} butterfly_counts;

// A member as another sees it.
typedef struct {
  // Who: 32 hexadecimal digits.
  char id[33];
  // Its name for people, empty if it has none.
  char name[65];
  // Where it is, "IP:PORT".
  char addr[64];
  // The TCP port of its gossip; 0: it does not gossip.
  uint16_t gossip_port;
  // Whether it is this very member.
  bool is_self;
  // Whether it is probed for ever.
  bool persistent;
  // How it fares.
  butterfly_health health;
  // The incarnation of its record.
  uint64_t incarnation;
  // The last direct round trip in microseconds; -1: never measured.
  int64_t rtt_us;
} butterfly_member;

// A service that a member runs.
typedef struct {
  // The member that runs it: 32 hexadecimal digits.
  char member[33];
  // How that member fares.
  butterfly_health health;
  // The group. This text and those below are the list's, and valid until it is freed.
  const char *group;
  // Its package.
  const char *package;
  // The IP address of its machine as it says it, or empty.
  const char *ip;
  // Its machine's name, or empty.
  const char *hostname;
  // What it tells the other services, in TOML.
  const uint8_t *config;
  // How many bytes that is.
  size_t config_length;
  // Its version.
  uint64_t incarnation;
} butterfly_service;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The sentence of the last call in this thread that failed: what was wrong, and what to do. It is valid until the next
// call in this thread that fails. Never NULL.
const char *butterfly_last_error(void);

// The version of this library, as "0.1.0". Never NULL, and valid for ever.
const char *butterfly_version(void);

// Has this function called with each log line of this level or a more important one, from now until the process ends;
// once in a process. Both function and context have to be of use to any thread at any time: a line may come from the
// thread that writes a data directory. The function must not call back into this library.
butterfly_status butterfly_set_log(butterfly_log log,
                                   void *context,
                                   int32_t level);

// Fills in the defaults. `size` is sizeof(butterfly_config).
//
// Needed:
// So many bytes can be written there.
butterfly_status butterfly_config_init(butterfly_config *config, size_t size);

// Starts a member and gives it to the caller, who frees it with butterfly_free(). It reads its data directory, if it has
// one, and may be busy for a moment if that holds a lot.
//
// Needed:
// The configuration was filled in by `butterfly_config_init`, and its pointers are NULL or valid; a pointer can be
// written to `member`.
butterfly_status butterfly_new(const butterfly_config *config,
                               butterfly **member);

// Ends a member without leaving the ring (others will find it dead: see butterfly_leave()), waits until its data directory
// has what it is to keep, and frees it. NULL is nothing to free.
//
// Needed:
// It is NULL, or from `butterfly_new` and not freed yet.
void butterfly_free(butterfly *member);

// The descriptor to watch for readability, level- or edge-triggered: the same as long as the member is there, and not to
// be read or closed. -1 if `member` is NULL.
//
// Needed:
// It is NULL or valid.
int butterfly_fd(const butterfly *member);

// In how many microseconds butterfly_process() is to be called at the latest; 0: now; -1: only when the descriptor is
// readable. It changes with each call of a function that takes the member, so ask before each wait.
//
// Needed:
// It is NULL or valid.
int64_t butterfly_timeout_us(const butterfly *member);

// The same in milliseconds, rounded up: a timeout for poll() or epoll_wait().
//
// Needed:
// It is NULL or valid.
int butterfly_timeout_ms(const butterfly *member);

// The deadline as a time of CLOCK_MONOTONIC, in nanoseconds, for timerfd_settime() and loops with absolute timers;
// 0: now; -1: only when the descriptor is readable.
//
// Needed:
// It is NULL or valid.
int64_t butterfly_deadline_ns(const butterfly *member);

// Does what there is to do: answers what has come, up to a bound, and serves the timers. It never waits. To call it early
// or for nothing is harmless; late calls are noticed, and make this member doubt itself.
//
// Needed:
// It is NULL or valid, and nobody else uses it.
butterfly_status butterfly_process(butterfly *member);

// The address that the member is bound to, "IP:PORT", which does not change. Copied to `to`, which has room for 64 bytes.
//
// Needed:
// It is NULL or valid; 64 bytes can be written to `to`.
butterfly_status butterfly_local_addr(const butterfly *member,
                                      char *to);

// The member's id, 32 hexadecimal digits. Copied to `to`, which has room for 33 bytes.
//
// Needed:
// It is NULL or valid; 33 bytes can be written to `to`.
butterfly_status butterfly_id(const butterfly *member, char *to);

// Asks this peer, "HOST:PORT", for members of the ring, from now on, ever more slowly. A name is looked up at each attempt,
// on a thread of its own that ends with that; butterfly_join_named() is for those who resolve names themselves.
//
// Needed:
// It is NULL or valid, and nobody else uses it; `peer` is NULL or a text.
butterfly_status butterfly_join(butterfly *member,
                                const char *peer);

// Asks a peer of butterfly_join() no more. BUTTERFLY_NOT_FOUND: it was not asked.
//
// Needed:
// It is NULL or valid, and nobody else uses it; `peer` is NULL or a text.
butterfly_status butterfly_unjoin(butterfly *member, const char *peer);

// Has a seed asked that is known by name. Its number goes to `seed`; a BUTTERFLY_SEED_DUE with that number asks for the
// name's addresses, now and at each attempt: resolve it as suits the loop, and call butterfly_seed_resolved().
//
// Needed:
// It is NULL or valid, and nobody else uses it; a number can be written to `seed`.
butterfly_status butterfly_join_named(butterfly *member,
                                      uint32_t *seed);

// The seed's name stands for these addresses, "IP:PORT", at the moment. None: it could not be resolved.
//
// Needed:
// It is NULL or valid, and nobody else uses it; there are so many texts.
butterfly_status butterfly_seed_resolved(butterfly *member,
                                         uint32_t seed,
                                         const char *const *addrs,
                                         size_t count);

// Leaves the ring: others are told. Go on driving the member until BUTTERFLY_LEFT, and free it then.
//
// Needed:
// It is NULL or valid, and nobody else uses it.
butterfly_status butterfly_leave(butterfly *member);

// Seals with the first of these keys and opens with any, from now on; none: everything is plain. Texts of key files.
//
// Needed:
// It is NULL or valid, and nobody else uses it; there are so many texts.
butterfly_status butterfly_set_ring_keys(butterfly *member,
                                         const char *const *keys,
                                         size_t count);

// Ignores messages from the member of this id from now on, or heeds them again.
//
// Needed:
// It is NULL or valid, and nobody else uses it; `id` is NULL or a text.
butterfly_status butterfly_block(butterfly *member, const char *id, bool on);

// This member runs a service of a group ("redis.default"), of a package ("acme/redis/7.2.1/20260101000000"). `config` is
// what it tells the other services, in TOML, `length` bytes; it may be NULL. Announced again, it takes the place of what was said before.
//
// Needed:
// It is NULL or valid, and nobody else uses it; texts are NULL or valid; `config` has so many bytes.
butterfly_status butterfly_announce(butterfly *member,
                                    const char *group,
                                    const char *package,
                                    const uint8_t *config,
                                    size_t length);

// This member runs no service of the group any more.
//
// Needed:
// It is NULL or valid, and nobody else uses it; `group` is NULL or a text.
butterfly_status butterfly_withdraw(butterfly *member, const char *group);

// Gives a service group this configuration, in TOML, `length` bytes; none: it is removed. `version`: the higher one wins;
// 0: the one after the current.
//
// Needed:
// It is NULL or valid, and nobody else uses it; `group` is NULL or a text; `config` has so many bytes.
butterfly_status butterfly_apply_config(butterfly *member,
                                        const char *group,
                                        uint64_t version,
                                        const uint8_t *config,
                                        size_t length);

// Gives a service group a file of this name, `length` bytes; none: it is removed. `version`: as of a configuration.
//
// Needed:
// It is NULL or valid, and nobody else uses it; texts are NULL or valid; `body` has so many bytes.
butterfly_status butterfly_apply_file(butterfly *member,
                                      const char *group,
                                      const char *filename,
                                      uint64_t version,
                                      const uint8_t *body,
                                      size_t length);

// Has a service group elect a leader. `suitability` is this member's: the highest one leads.
//
// Needed:
// It is NULL or valid, and nobody else uses it; `group` is NULL or a text.
butterfly_status butterfly_start_election(butterfly *member,
                                          const char *group,
                                          uint64_t suitability);

// Has a member depart for good: it stops, and its id is not accepted again.
//
// Needed:
// It is NULL or valid, and nobody else uses it; `id` is NULL or a text.
butterfly_status butterfly_depart(butterfly *member, const char *id);

// Has the ring forget these dead members, given by their ids, with their services and tags. It is no ban: one that lives
// after all is known again. A living one is refused, and so are the others with it.
//
// Needed:
// It is NULL or valid, and nobody else uses it; there are so many texts.
butterfly_status butterfly_forget(butterfly *member,
                                  const char *const *ids,
                                  size_t count);

// The next event goes to `event`, of which the caller knows `size` bytes: sizeof(butterfly_event). Whether there was one;
// butterfly_last_error() stays as it is when there is none.
// Take them all after each butterfly_process(). What they point to is the member's, and valid until the next call.
//
// Needed:
// The member is NULL or valid, and nobody else uses it; so many bytes can be written to `event`.
bool butterfly_next_event(butterfly *member,
                          butterfly_event *event,
                          size_t size);

// This member says this of itself from now on, and nothing else; none: nothing. All keys and values have 4 KiB at most.
//
// Needed:
// It is NULL or valid, and nobody else uses it; there are so many tags, whose texts are NULL or valid.
butterfly_status butterfly_set_tags(butterfly *member,
                                    const butterfly_tag *tags,
                                    size_t count);

// What the member of this id says of itself, by key, as a list that the caller frees with butterfly_tags_free(); empty if
// it says nothing or is not known. NULL if `member` is NULL or the id does not read.
//
// Needed:
// The member is NULL or valid; `id` is NULL or a text.
butterfly_tags *butterfly_tags_new(const butterfly *member,
                                   const char *id);

// The next one goes to `tag`, of which the caller knows `size` bytes: sizeof(butterfly_tag). Its texts are the list's, and
// valid until it is freed. Whether there was one.
//
// Needed:
// The list is NULL or valid; so many bytes can be written to `tag`.
bool butterfly_tags_next(butterfly_tags *list,
                         butterfly_tag *tag,
                         size_t size);

// Frees a list. NULL is nothing to free.
//
// Needed:
// It is NULL, or from `butterfly_tags_new` and not freed yet.
void butterfly_tags_free(butterfly_tags *list);

// Tells all living members that run Butterfly an event, each once, in this member's order. `payload` has `length` bytes, 64
// KiB at most, and may be NULL; it is told to members that start within `ttl_ms` milliseconds (0: 60,000); `coalesce`: of
// several of this name within a second only the last counts.
//
// Needed:
// It is NULL or valid, and nobody else uses it; `name` is NULL or a text; `payload` has so many bytes.
butterfly_status butterfly_send_event(butterfly *member,
                                      const char *name,
                                      const uint8_t *payload,
                                      size_t length,
                                      uint64_t ttl_ms,
                                      bool coalesce);

// Asks living members that run Butterfly. `members`: patterns of names or beginnings of ids, `tags`: "KEY" or "KEY=VALUE"
// that each has; none: all. Answers come as BUTTERFLY_ANSWER for `timeout_ms` milliseconds (0: the default), and then
// BUTTERFLY_QUERY_OVER; the number that both have goes to `query`.
//
// Needed:
// It is NULL or valid, and nobody else uses it; `name` is NULL or a text; `payload` has so many bytes; there are so many
// texts; a number can be written to `query`.
butterfly_status butterfly_query(butterfly *member,
                                 const char *name,
                                 const uint8_t *payload,
                                 size_t length,
                                 const char *const *members,
                                 size_t member_count,
                                 const char *const *tags,
                                 size_t tag_count,
                                 uint64_t timeout_ms,
                                 uint64_t *query);

// Answers the question of that number of the member `by`, see BUTTERFLY_QUERY: with `length` bytes of payload, 400 at most;
// or, if `why` is not NULL, says why there is no answer.
//
// Needed:
// It is NULL or valid, and nobody else uses it; `by` and `why` are NULL or texts; `payload` has so many bytes.
butterfly_status butterfly_answer_query(butterfly *member,
                                        const char *by,
                                        uint64_t query,
                                        const uint8_t *payload,
                                        size_t length,
                                        const char *why);

// How many members of each health there are; of which the caller knows `size` bytes: sizeof(butterfly_counts).
//
// Needed:
// The member is NULL or valid; so many bytes can be written to `counts`.
butterfly_status butterfly_count(const butterfly *member,
                                 butterfly_counts *counts,
                                 size_t size);

// The members that this one knows, itself included, as a list that the caller frees with butterfly_members_free(). It
// does not need the member any more. NULL if `member` is NULL.
//
// Needed:
// The member is NULL or valid.
butterfly_members *butterfly_members_new(const butterfly *member);

// The next one goes to `member`, of which the caller knows `size` bytes: sizeof(butterfly_member). Whether there was one.
//
// Needed:
// The list is NULL or valid; so many bytes can be written to `member`.
bool butterfly_members_next(butterfly_members *list,
                            butterfly_member *member,
                            size_t size);

// Frees a list. NULL is nothing to free.
//
// Needed:
// It is NULL, or from `butterfly_members_new` and not freed yet.
void butterfly_members_free(butterfly_members *list);

// The services that members run, of a group, or of all if `group` is NULL, as a list that the caller frees with
// butterfly_services_free(). Those that were withdrawn are left out. NULL if `member` is NULL or the group does not read.
//
// Needed:
// The member is NULL or valid; the group is NULL or a text.
butterfly_services *butterfly_services_new(const butterfly *member,
                                           const char *group);

// The next one goes to `service`, of which the caller knows `size` bytes: sizeof(butterfly_service). Whether there was one.
//
// Needed:
// The list is NULL or valid; so many bytes can be written to `service`.
bool butterfly_services_next(butterfly_services *list,
                             butterfly_service *service,
                             size_t size);

// Frees a list. NULL is nothing to free.
//
// Needed:
// It is NULL, or from `butterfly_services_new` and not freed yet.
void butterfly_services_free(butterfly_services *list);

// A service group's configuration: its bytes, how many, and its version, unless `version` is NULL. They are the
// member's, and valid until the next butterfly_config_of() or butterfly_file_of().
//
// Needed:
// The member is NULL or valid, and nobody else uses it; `group` is NULL or a text; the rest can be written to.
butterfly_status butterfly_config_of(butterfly *member,
                                     const char *group,
                                     const uint8_t **bytes,
                                     size_t *length,
                                     uint64_t *version);

// A service group's file, likewise.
//
// Needed:
// The member is NULL or valid, and nobody else uses it; texts are NULL or valid; the rest can be written to.
butterfly_status butterfly_file_of(butterfly *member,
                                   const char *group,
                                   const char *filename,
                                   const uint8_t **bytes,
                                   size_t *length,
                                   uint64_t *version);

// Who leads a service group, as far as this member knows: 32 hexadecimal digits, copied to `to`, which has room for 33
// bytes. BUTTERFLY_NOT_FOUND: nobody.
//
// Needed:
// The member is NULL or valid; `group` is NULL or a text; 33 bytes can be written to `to`.
butterfly_status butterfly_leader_of(const butterfly *member,
                                     const char *group,
                                     char *to);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BUTTERFLY_H */
