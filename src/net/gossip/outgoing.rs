//! Bytes on their way out of one connection: small frames side by side, so that one call writes many.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};

use crate::wire::zmtp;

/// Bytes that small frames share before they are written, and that one call writes at best.
pub(super) const BATCH: usize = 16 << 10;

/// Pieces that one call writes.
const PIECES: usize = 8;

/// The longest header of a frame, bytes.
const HEADER: usize = 9;

/// What is to be written. Empty, it holds no memory.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that are written.
    written: usize,
    /// Bytes, and frames with the ones partly written, that are left.
    bytes: usize,
    frames: usize,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    frames: usize,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// A message, with its header. A large one is taken out of its place.
    pub(super) fn push(&mut self, message: &mut Vec<u8>) {
        if message.len() < BATCH {
            return self.push_small(message);
        }
        let len = message.len();
        self.push_control(|out| zmtp::header(len, out));
        self.pieces.push_back(Piece {
            bytes: std::mem::take(message),
            frames: 1,
        });
        self.bytes += len;
        self.frames += 1;
    }

    fn push_small(&mut self, message: &[u8]) {
        let piece = self.piece(HEADER + message.len());
        let before = piece.bytes.len();
        zmtp::header(message.len(), &mut piece.bytes);
        piece.bytes.extend_from_slice(message);
        piece.frames += 1;
        self.bytes += piece.bytes.len() - before;
        self.frames += 1;
    }

    /// A few bytes that are no message.
    pub(super) fn push_control(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let piece = self.piece(2 * HEADER + zmtp::MAX_CONTEXT);
        let before = piece.bytes.len();
        write(&mut piece.bytes);
        self.bytes += piece.bytes.len() - before;
    }

    /// The last piece if so many bytes fit there, or a new one.
    fn piece(&mut self, len: usize) -> &mut Piece {
        let fits = |piece: &Piece| piece.bytes.len() + len <= BATCH;
        if !self.pieces.back().is_some_and(fits) {
            self.pieces.push_back(Piece {
                bytes: Vec::with_capacity(len),
                frames: 0,
            });
        }
        // Never empty here: one was just put in if there was none.
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
    }

    /// Writes as much as is taken; whether that is all.
    ///
    /// # Errors
    /// What the writer says, but for that it would block.
    pub(super) fn write(&mut self, to: &mut impl Write) -> io::Result<bool> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                let start = if count == 0 { self.written } else { 0 };
                *slice = IoSlice::new(piece.bytes.get(start..).unwrap_or_default());
                count += 1;
            }
            let result = match slices.get(..count) {
                Some([only]) => to.write(only),
                Some(all) => to.write_vectored(all),
                None => Ok(0),
            };
            match result {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => self.advance(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.clear();
        Ok(true)
    }

    fn advance(&mut self, len: usize) {
        self.bytes -= len.min(self.bytes);
        self.written += len;
        while let Some(first) = self.pieces.front()
            && first.bytes.len() <= self.written
        {
            self.written -= first.bytes.len();
            self.frames -= first.frames;
            self.pieces.pop_front();
        }
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        *self = Outgoing::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes a call, and then no more for a call.
    struct Slow {
        taken: Vec<u8>,
        most: usize,
        full: bool,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.full = !self.full;
            if !self.full {
                return Err(ErrorKind::WouldBlock.into());
            }
            let all: Vec<u8> = slices.iter().flat_map(|it| it.to_vec()).collect();
            let len = all.len().min(self.most);
            self.taken.extend_from_slice(&all[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_leaves_in_order_however_little_is_taken_at_once() {
        let messages = [3, 300, 0, 40_000, 5, 255, 256, BATCH, 7, 100_000, 1];
        let mut expected = Vec::new();
        for len in messages {
            zmtp::header(len, &mut expected);
            expected.extend(std::iter::repeat_n(len as u8, len));
        }
        expected.extend_from_slice(zmtp::PING);
        for most in [1_000, 33, 50_000, usize::MAX] {
            let mut outgoing = Outgoing::default();
            for len in messages {
                outgoing.push(&mut vec![len as u8; len]);
            }
            outgoing.push_control(|out| out.extend_from_slice(zmtp::PING));
            assert_eq!(outgoing.bytes(), expected.len());
            assert_eq!(outgoing.frames(), messages.len());
            let mut slow = Slow {
                taken: Vec::new(),
                most,
                full: false,
            };
            while !outgoing.write(&mut slow).unwrap() {
                assert_eq!(outgoing.bytes(), expected.len() - slow.taken.len());
            }
            assert!(slow.taken == expected, "{most} bytes a call");
            assert_eq!((outgoing.bytes(), outgoing.frames()), (0, 0));
            assert_eq!(outgoing.pieces.capacity(), 0, "empty, it holds nothing");
        }
    }

    #[test]
    fn small_frames_share_a_piece() {
        let mut outgoing = Outgoing::default();
        (0..300).for_each(|_| outgoing.push(&mut vec![7; 200]));
        assert_eq!(outgoing.pieces.len(), (300 * 202_usize).div_ceil(BATCH));
    }
}
