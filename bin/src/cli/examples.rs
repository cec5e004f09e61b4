//! What the long helps show.

pub const EXAMPLES: &str = "\
Examples:
  butterfly demo                                                 a ring on this machine, live
  butterfly run --listen 127.0.0.1:9638 --name amber             a member
  butterfly run --listen 127.0.0.1:9639 --name birch --peer 127.0.0.1:9638 --http 127.0.0.1:0
  butterfly members                                              whom the first one sees
  butterfly status --wait alive=2 --timeout 10                   wait until both are there
  butterfly ping 127.0.0.1:9639 -c 5                             how long birch takes to answer
  echo 'port = 6380' | butterfly config apply redis.default -       both know it, and all who come later";

pub const DEMO: &str = "\
Examples:
  butterfly demo
  butterfly demo --members 20
  butterfly demo --timing lan           as slowly as in a data centre: some seconds";

pub const RUN: &str = "\
Examples:
  butterfly run --listen 127.0.0.1:9638
  butterfly run --listen 0.0.0.0:9638 --peer web-1:9638 --ring-key ring-20261123120000.sym.key
  butterfly run --listen 127.0.0.1:0 --http 127.0.0.1:0      the chosen ports stand on standard output
  butterfly run --on 'confirmed=logger dead: \"$BUTTERFLY_EVENT_MEMBER_NAME\"'
  butterfly run --listen 10.0.0.7:9638 --data-dir /var/lib/butterfly --name web-7 --tag zone=eu --tag role=web

Signals: SIGINT and SIGTERM leave the ring and end, a second one, half a second
later or more, ends within a second, also if the disk hangs; SIGHUP reads the
file of --config and the ring keys again: keys, peers, tags and the level of the
log count at once.
Environment: RUST_LOG=debug says more. TRACE_SWIM=1 writes what happens to a file in
/tmp/habitat-swim-trace, or in TRACE_SWIM_DIR.";

pub const MEMBERS: &str = "\
Examples:
  butterfly members
  butterfly members --tag zone=eu --tag role
  butterfly members -o json | jq -r '.[] | select(.health == \"alive\") | .address'";

pub const TOP_COMMAND: &str = "\
Examples:
  butterfly top
  butterfly top --every 500ms --http 127.0.0.1:9632
  ssh -t web-1 butterfly top

Keys: / filters by name, id, address or health; j, k and the arrows move; Esc ends the filter; q quits.";

pub const STATUS: &str = "\
Examples:
  butterfly status
  butterfly status --wait alive=5 --timeout 30       until five are Alive; exit code 3 if they are not in time
  butterfly status --wait members=3+                 until three or more are not Departed";

pub const DEBUG: &str = "\
Examples:
  butterfly debug                       prints the name of the archive
  butterfly debug --out fault.tar.gz --seconds 60

It holds names, addresses, settings, history, metrics and the latest lines of the log; no keys, no tokens, and not what
configurations and files say.";

pub const JOIN: &str = "\
Examples:
  butterfly join web-1:9638 10.0.0.7:9638
  butterfly join srv:_butterfly._udp.example --timeout 30   whom the SRV records of that name list

It succeeds if one of them answers. Those that do not are asked on, ever more seldom.";

pub const UNJOIN: &str = "\
Examples:
  butterfly unjoin web-1:9638";

pub const LEAVE: &str = "\
Examples:
  butterfly leave
  butterfly leave --http 127.0.0.1:9700";

pub const BLOCK: &str = "\
Examples:
  butterfly block web-2          by its name
  butterfly block 1a2b3c4d       by the beginning of its id";

pub const UNBLOCK: &str = "\
Examples:
  butterfly unblock web-2";

pub const PING: &str = "\
Examples:
  butterfly ping 10.0.0.7:9638 -c 10
  butterfly ping web-1:9638 -i 0.1 --ring-key ring-20261123120000.sym.key";

pub const RING_KEY: &str = "\
Examples:
  butterfly ring-key generate ring --dir /etc/butterfly
  butterfly ring-key list                          which members hold which keys, by short ids
  butterfly ring-key install ring-20261201120000.sym.key
  butterfly ring-key use 1a2b3c4d                  then all seal with it
  butterfly ring-key remove 5e6f7a8b               and the old one opens no more";

pub const STORE: &str = "\
Examples:
  butterfly store show /var/lib/butterfly/1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d.rst
  butterfly store show -s FILE.rst           how many rumors of each kind, and their bytes
  butterfly store show -o json FILE.rst | jq '.[] | select(.key == \"web.default\")'";

pub const COMPLETIONS: &str = "\
Examples:
  butterfly completions bash > /usr/share/bash-completion/completions/butterfly
  butterfly completions zsh > ~/.zfunc/_butterfly
  butterfly completions fish > ~/.config/fish/completions/butterfly.fish";

pub const MAN: &str = "\
Examples:
  butterfly man | man -l -
  butterfly man run | man -l -
  butterfly man --dir /usr/local/share/man/man1      a page for each command";
