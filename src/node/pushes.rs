//! Rumors on their way: pushes and their names, and where frames come from.

use std::net::SocketAddr;

use crate::gossip::{PushId, What};
use crate::member::MemberId;
use crate::recording::Input;

/// A rumor to be pushed to a peer's PULL socket; its frame was written by [`Node::poll_push`](crate::Node::poll_push).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Push {
    /// Where its PULL socket is: TCP.
    pub to: SocketAddr,
    /// Names it, for [`Node::handle_sent`](crate::Node::handle_sent).
    pub id: PushName,
}

/// Names a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushName(pub(super) PushId);

impl PushName {
    /// For a recording: what became of it.
    pub(super) fn sent(&self, taken: bool) -> Input<'static> {
        let PushId { peer, what } = self.0;
        let (what, place, hash, member) = match what {
            What::Rumor(place, hash) => (0, place, hash, MemberId::NIL),
            What::Member(id) => (1, 0, 0, id),
            What::Candidacy(place, hash) => (2, place, hash, MemberId::NIL),
        };
        Input::Sent {
            peer,
            what,
            place,
            hash,
            member,
            taken,
        }
    }

    /// The push that a recording says this of.
    pub(super) fn recorded(
        peer: MemberId,
        what: u8,
        (place, hash): (u32, u64),
        member: MemberId,
    ) -> Option<Self> {
        let what = match what {
            0 => What::Rumor(place, hash),
            1 => What::Member(member),
            2 => What::Candidacy(place, hash),
            _ => return None,
        };
        Some(PushName(PushId { peer, what }))
    }

    /// The member that it is for.
    pub fn peer(&self) -> MemberId {
        self.0.peer
    }
}

/// Where a frame came from: asked for once at most.
pub(super) enum Source<F> {
    Asked(F),
    Known(SocketAddr),
    /// While it is asked.
    Nowhere,
}

impl<F: FnOnce() -> SocketAddr> Source<F> {
    pub fn get(&mut self) -> SocketAddr {
        let from = match std::mem::replace(self, Source::Nowhere) {
            Source::Asked(from) => from(),
            Source::Known(from) => from,
            Source::Nowhere => SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        *self = Source::Known(from);
        from
    }
}
