//! Runs a node through a recording.

use std::time::Duration;

use super::{Node, Port, PortTest, SEND_BUFFER};
use crate::event::Event;
use crate::recording::{Beginning, Damage, End, EventSum, Input, KeyId, Mark, Reader, Record};
use crate::time::Time;
use crate::trace::Trace;
use crate::wire::RingKey;

/// Why a replay goes no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file is not as it was written.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// The recording's member had a key that was not given.
    #[error("the member used the ring key {name:?}: give its file")]
    MissingKey {
        /// Its full name.
        name: String,
    },
    /// The node came to something else than when it was recorded.
    #[error(
        "at mark {mark} the replay has {what} than the recording: one of them did not what it should, or this program, \
         {here}, is not the one that recorded it, {there}"
    )]
    Differs {
        /// The number of the mark.
        mark: u64,
        /// In what.
        what: &'static str,
        /// The version of this library.
        here: &'static str,
        /// The version that recorded it.
        there: String,
    },
    /// Records in an order that nobody writes.
    #[error("its records are in an order in which no member writes them")]
    BadOrder,
}

/// What a step of a replay came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// It needs more bytes.
    Starved,
    /// The node was told something, or asked.
    Done,
    /// The driver took this event.
    Event(Event),
    /// The state and all events up to here are as they were when it was recorded.
    Mark,
    /// The recording ends.
    Ended(End),
}

/// A recording that is played: the same node, told the same.
///
/// ```
/// # fn play(file: &[u8]) -> Result<(), butterfly::node::ReplayError> {
/// use butterfly::node::{Replay, Step};
///
/// let mut replay = Replay::new(Vec::new());
/// replay.feed(file);
/// loop {
///     match replay.step()? {
///         Step::Event(event) => println!("{} {event:?}", replay.time()),
///         Step::Starved => return replay.finish(),
///         _ => {}
///     }
/// }
/// # }
/// ```
pub struct Replay {
    reader: Reader,
    keys: Vec<RingKey>,
    player: Option<Player>,
    is_tracing: bool,
}

struct Player {
    node: Node,
    events: EventSum,
    marks: u64,
    zero: Duration,
    version: String,
}

impl Replay {
    /// One that can open what was sealed with these keys.
    pub fn new(keys: Vec<RingKey>) -> Self {
        Replay {
            reader: Reader::default(),
            keys,
            player: None,
            is_tracing: false,
        }
    }

    /// Whether everything that happens is to be taken with [`poll_trace`](Replay::poll_trace): before the first step.
    pub fn set_tracing(&mut self, on: bool) {
        self.is_tracing = on;
    }

    /// Takes the next bytes of the file, any number of them.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.reader.feed(bytes);
    }

    /// The file ends here.
    ///
    /// # Errors
    /// Something is missing.
    pub fn finish(&self) -> Result<(), ReplayError> {
        Ok(self.reader.finish()?)
    }

    /// The node, once it was begun. It keeps a [history](Node::history).
    pub fn node(&self) -> Option<&Node> {
        self.player.as_ref().map(|player| &player.node)
    }

    /// The time of what was replayed last, by the driver's clock.
    pub fn time(&self) -> Time {
        self.reader.time
    }

    /// The driver's time zero, since 1970.
    pub fn zero(&self) -> Duration {
        let player = self.player.as_ref();
        player.map_or(Duration::ZERO, |player| player.zero)
    }

    /// How many marks agreed.
    pub fn marks(&self) -> u64 {
        self.player.as_ref().map_or(0, |player| player.marks)
    }

    /// The next trace, if they were asked for.
    pub fn poll_trace(&mut self) -> Option<Trace> {
        self.player.as_mut()?.node.poll_trace()
    }

    /// Replays the next record.
    ///
    /// # Errors
    /// See [`ReplayError`]; there is no going on.
    pub fn step(&mut self) -> Result<Step, ReplayError> {
        let Some((time, record)) = self.reader.next()? else {
            return Ok(Step::Starved);
        };
        match (record, &mut self.player) {
            (Record::Beginning(beginning), None) => {
                self.player = Some(begin(*beginning, &self.keys, self.is_tracing)?);
                Ok(Step::Done)
            }
            (Record::Input(input), Some(player)) => player.play(time, input, &self.keys),
            (Record::Mark(mark), Some(player)) => player.check(mark).map(|()| Step::Mark),
            (Record::End(why), _) => Ok(Step::Ended(why)),
            _ => Err(ReplayError::BadOrder),
        }
    }
}

fn find_keys(ids: &[KeyId], keys: &[RingKey]) -> Result<Vec<RingKey>, ReplayError> {
    let find = |id: &KeyId| match id.find(keys) {
        Some(key) => Ok(key.clone()),
        None => Err(ReplayError::MissingKey {
            name: id.name.clone(),
        }),
    };
    ids.iter().map(find).collect()
}

fn begin(beginning: Beginning, keys: &[RingKey], is_tracing: bool) -> Result<Player, ReplayError> {
    let mut config = beginning.config;
    config.ring_keys = find_keys(&beginning.keys, keys)?;
    let mut node = Node::new(config, beginning.now);
    node.set_history(true);
    node.set_tracing(is_tracing);
    Ok(Player {
        node,
        events: EventSum::default(),
        marks: 0,
        zero: beginning.zero,
        version: beginning.version,
    })
}

/// What a call answers was dealt with when it was recorded.
fn ignore<T>(_: T) {}

impl Player {
    fn check(&mut self, mark: Mark) -> Result<(), ReplayError> {
        let what = if mark.events != self.events.sum() {
            "other events"
        } else if mark.state != self.node.checkpoint() {
            "another state"
        } else {
            self.marks += 1;
            return Ok(());
        };
        Err(ReplayError::Differs {
            mark: mark.number,
            what,
            here: env!("CARGO_PKG_VERSION"),
            there: self.version.clone(),
        })
    }

    fn play(&mut self, now: Time, input: Input<'_>, keys: &[RingKey]) -> Result<Step, ReplayError> {
        let node = &mut self.node;
        match input {
            Input::Datagram { from, bytes } => {
                node.handle_datagram(now, from, &mut bytes.to_vec());
            }
            Input::Timeout => node.handle_timeout(now),
            Input::Unreachable { addr } => node.handle_unreachable(now, addr),
            Input::ReceiveError => node.handle_receive_error(now),
            Input::Backlog { unread } => node.handle_backlog(unread),
            Input::Stored { mark } => node.handle_stored(now, mark),
            Input::Refused { to, quoted } => node.handle_refused(now, to, &mut quoted.to_vec()),
            Input::StrayError => node.handle_stray_error(),
            Input::Hint { id } => node.handle_hint(now, id),
            Input::PortTested { id, addr, port } => {
                let port = match port {
                    0 => Port::Closed,
                    1 => Port::Open,
                    _ => Port::Silent,
                };
                node.handle_port_test(now, PortTest { id, addr }, port);
            }
            Input::RestoredMember { bytes } => ignore(node.restore_member(bytes)),
            Input::RestoredRumor { bytes } => ignore(node.restore_rumor(bytes)),
            Input::Known { member, name } => node.know(&member, name),
            Input::Heard { id, serial } => node.heard(id, serial),
            Input::PollDatagram => drop(node.poll_datagram(now, &mut [0; SEND_BUFFER])),
            Input::PollEvent => match node.poll_event() {
                Some(event) => {
                    self.events.add(&event);
                    return Ok(Step::Event(event));
                }
                None => return Err(ReplayError::BadOrder),
            },
            Input::PollPortTest => ignore(node.poll_port_test()),
            Input::PollWatched => ignore(node.poll_watched()),
            Input::PollNewId => ignore(node.poll_new_id()),
            Input::PollReserve => ignore(node.poll_reserve()),
            Input::Leave => node.leave(now),
            Input::Block { id } => ignore(node.block(id)),
            Input::Unblock { id } => ignore(node.unblock(id)),
            Input::Pause => node.pause(now),
            Input::Resume => node.resume(now),
            Input::RingKeys { keys: ids } => node.set_ring_keys(find_keys(&ids, keys)?),
            Input::Note { text } => node.note(text),
            Input::Join { addr } => ignore(node.join(now, addr)),
            Input::JoinNamed => ignore(node.join_named(now)),
            Input::Unjoin { seed } => ignore(node.unjoin(now, seed)),
            Input::SeedResolved { seed, addrs } => node.seed_resolved(now, seed, &addrs),
            Input::HurryRumors => node.hurry_rumors(now),
            rumors => self.play_rumors(now, rumors),
        }
        Ok(Step::Done)
    }

    /// Without gossip no recording has them.
    #[cfg(not(feature = "gossip"))]
    fn play_rumors(&mut self, _: Time, _: Input<'_>) {}

    #[cfg(feature = "gossip")]
    fn play_rumors(&mut self, now: Time, input: Input<'_>) {
        let node = &mut self.node;
        match input {
            Input::Frame { from, bytes } => {
                node.handle_rumor(now, &mut bytes.to_vec(), || from);
            }
            Input::Multipart { from } => node.handle_multipart(now, from),
            Input::Sent {
                peer,
                what,
                place,
                hash,
                member,
                taken,
            } => {
                if let Some(push) = super::PushName::recorded(peer, what, (place, hash), member) {
                    node.handle_sent(now, push, taken);
                }
            }
            Input::PollPush => ignore(node.poll_push(now, &mut Vec::new())),
            Input::PollGone => ignore(node.poll_gone()),
            Input::Announce { service } => ignore(node.announce(now, service.into_owned())),
            Input::Withdraw { group } => ignore(node.withdraw(now, &group)),
            Input::ApplyConfig { config } => ignore(node.apply_config(now, config.into_owned())),
            Input::ApplyFile { file } => ignore(node.apply_file(now, file.into_owned())),
            Input::RemoveConfig { group } => ignore(node.remove_config(now, &group)),
            Input::RemoveFile { group, filename } => {
                ignore(node.remove_file(now, &group, filename));
            }
            Input::Force { rumor } => ignore(node.force(now, rumor.into_owned())),
            Input::StartElection {
                kind,
                group,
                suitability,
            } => ignore(node.start_election(now, kind, &group, suitability)),
            Input::Depart { id } => ignore(node.depart(now, id)),
            Input::SetTags { tags } => ignore(node.set_tags(now, tags.into_owned())),
            Input::SendEvent { event } => {
                let mut event = event.into_owned();
                if node.is_sealed() {
                    let opened = crate::wire::open(&node.keys, &mut event.payload);
                    event.payload = opened.map(<[u8]>::to_vec).unwrap_or_default();
                }
                ignore(node.send_event(now, event));
            }
            Input::Answer {
                question,
                is_answer,
                payload,
            } => {
                let failure = str::from_utf8(payload).unwrap_or_default();
                let answer = is_answer.then_some(payload).ok_or(failure);
                ignore(node.answer(now, &question, answer));
            }
            Input::Forget { members } => ignore(node.forget(now, &members)),
            // Membership's, played above.
            _ => {}
        }
    }
}
