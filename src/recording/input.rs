//! Every call that changes a node.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::code::{Bad, Code, Cursor};
use super::nouns::KeyId;
use crate::event::SeedId;
use crate::member::{Incarnation, Member, MemberId};
use crate::rumor::{
    Rumor, RumorKind, Service, ServiceConfig, ServiceFile, ServiceGroup, TagSet, UserEvent,
};
use crate::wire::Serial;

/// Each has a number, which stays the same from version to version, and fields.
macro_rules! inputs {
    ($($(#[$doc:meta])* $number:literal $name:ident $({ $($field:ident: $type:ty),* $(,)? })?;)*) => {
        /// A call that changes a node. Its time, if it has one, is beside it.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Input<'a> {
            $($(#[$doc])* $name $({ $($field: $type),* })?,)*
        }

        impl<'a> Input<'a> {
            pub fn number(&self) -> u8 {
                match self {
                    $(Input::$name { .. } => $number,)*
                }
            }

            pub fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Input::$name $({ $($field),* })? => {
                        let _ = &out;
                        $($($field.put(out);)*)?
                    })*
                }
            }

            pub fn get(number: u8, from: &mut Cursor<'a>) -> Result<Self, Bad> {
                match number {
                    $($number => Ok(Input::$name $({ $($field: Code::get(from)?),* })?),)*
                    _ => Err(Bad),
                }
            }
        }
    };
}

inputs! {
    // What came.
    1 Datagram { from: SocketAddr, bytes: &'a [u8] };
    2 Frame { from: SocketAddr, bytes: &'a [u8] };
    3 Multipart { from: SocketAddr };
    4 Timeout;
    5 Unreachable { addr: SocketAddr };
    6 ReceiveError;
    7 Backlog { unread: bool };
    8 Stored { mark: Incarnation };
    9 Refused { to: SocketAddr, quoted: &'a [u8] };
    10 StrayError;
    11 Hint { id: MemberId };
    /// `port`: 0 closed, 1 open, 2 silent.
    12 PortTested { id: MemberId, addr: SocketAddr, port: u8 };
    /// What a push was of: `what` is 0 for a rumor, 1 for a member, 2 for a candidacy.
    13 Sent { peer: MemberId, what: u8, place: u32, hash: u64, member: MemberId, taken: bool };
    14 RestoredMember { bytes: &'a [u8] };
    15 RestoredRumor { bytes: &'a [u8] };
    16 Known { member: Cow<'a, Member>, name: &'a str };
    17 Heard { id: MemberId, serial: Serial };

    // What was taken.
    32 PollDatagram;
    33 PollPush;
    34 PollEvent;
    35 PollGone;
    36 PollPortTest;
    37 PollWatched;
    38 PollNewId;
    39 PollReserve;

    // What was asked for.
    48 Leave;
    49 Block { id: MemberId };
    50 Unblock { id: MemberId };
    51 Pause;
    52 Resume;
    53 RingKeys { keys: Vec<KeyId> };
    54 Note { text: &'a str };
    55 Join { addr: SocketAddr };
    56 JoinNamed;
    57 Unjoin { seed: SeedId };
    58 SeedResolved { seed: SeedId, addrs: Cow<'a, [SocketAddr]> };
    59 HurryRumors;
    60 Announce { service: Cow<'a, Service> };
    61 Withdraw { group: Cow<'a, ServiceGroup> };
    62 ApplyConfig { config: Cow<'a, ServiceConfig> };
    63 ApplyFile { file: Cow<'a, ServiceFile> };
    64 RemoveConfig { group: Cow<'a, ServiceGroup> };
    65 RemoveFile { group: Cow<'a, ServiceGroup>, filename: &'a str };
    66 Force { rumor: Cow<'a, Rumor> };
    67 StartElection { kind: RumorKind, group: Cow<'a, ServiceGroup>, suitability: u64 };
    68 Depart { id: MemberId };
    69 SetTags { tags: Cow<'a, TagSet> };
    70 Forget { members: Cow<'a, [MemberId]> };
    71 SendEvent { event: Cow<'a, UserEvent> };
    /// `payload`: the answer, or why there is none.
    72 Answer { question: Cow<'a, UserEvent>, is_answer: bool, payload: &'a [u8] };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_read_as_they_were_written() {
        let addr: SocketAddr = "192.0.2.1:9638".parse().unwrap();
        let group: ServiceGroup = "redis.default".parse().unwrap();
        let mut tags = TagSet::new();
        tags.insert("zone", "eu").unwrap();
        let config = ServiceConfig::new(group.clone(), 7, "port = 1");
        for input in [
            Input::Datagram {
                from: addr,
                bytes: b"abc",
            },
            Input::Timeout,
            Input::SeedResolved {
                seed: SeedId(3),
                addrs: Cow::Owned(vec![addr, addr]),
            },
            Input::Announce {
                service: Cow::Owned(Service::new(group.clone(), "a/b/1/2")),
            },
            Input::Force {
                rumor: Cow::Owned(Rumor::ServiceConfig(config)),
            },
            Input::StartElection {
                kind: RumorKind::ElectionUpdate,
                group: Cow::Owned(group),
                suitability: u64::MAX,
            },
            Input::SetTags {
                tags: Cow::Owned(tags),
            },
            Input::PollWatched,
        ] {
            let mut out = Vec::new();
            input.put(&mut out);
            let mut cursor = Cursor(&out);
            assert_eq!(Input::get(input.number(), &mut cursor).as_ref(), Ok(&input));
            assert!(cursor.0.is_empty(), "{input:?}");
        }
        assert_eq!(Input::get(0, &mut Cursor(&[])), Err(Bad));
    }
}
