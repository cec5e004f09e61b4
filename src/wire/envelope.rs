//! The envelope around every datagram (PROTOCOL.md §1), plain or sealed with a ring key, in place.

use std::ops::Range;

use dryoc::classic::crypto_secretbox::{
    crypto_secretbox_easy_inplace, crypto_secretbox_open_easy_inplace,
};

use super::field::{Fields, Value, Writer, varint_len};
use super::ring_key::RingKey;
use crate::error::Reject;

/// Bytes of a nonce, fresh for every sealed message.
pub const NONCE: usize = 24;
/// Bytes of the tag before the ciphertext.
const TAG: usize = 16;
/// `encrypted = true`, and the tag and length of `nonce`.
const SEALED_HEAD: [u8; 4] = [0x08, 0x01, 0x12, NONCE as u8];
/// The tag of `payload`.
const PAYLOAD: u8 = 0x1a;
/// The longest length that is written, bytes as a varint: for payloads below 2 MiB.
const MAX_LENGTH: usize = 3;

/// Bytes to leave free before a payload, so that [`seal`] can put the longest envelope around it.
pub const HEADROOM: usize = SEALED_HEAD.len() + NONCE + 1 + MAX_LENGTH + TAG;

/// Bytes that the envelope adds to a payload of that many bytes.
pub const fn overhead(sealed: bool, payload_len: usize) -> usize {
    if sealed {
        sealed_overhead(payload_len)
    } else {
        plain_overhead(payload_len)
    }
}

/// Bytes that a plain envelope adds to a payload of that many bytes.
pub const fn plain_overhead(payload_len: usize) -> usize {
    1 + varint_len(payload_len as u64)
}

/// Bytes that a sealed envelope adds to a payload of that many bytes.
pub const fn sealed_overhead(payload_len: usize) -> usize {
    SEALED_HEAD.len() + NONCE + 1 + varint_len((TAG + payload_len) as u64) + TAG
}

/// Takes the envelope off a datagram, and the seal if there are keys; any of them may open it.
///
/// The payload is decrypted where it lies. Unknown fields are skipped; of a field that stands twice the
/// last counts.
///
/// # Errors
/// `Truncated`, `Malformed` or `MissingField` if it is no envelope with a payload; `NoKey` if it is
/// sealed and there are no keys; with keys, `NotSealed` if it has no nonce and `WrongKey` if none opens it.
/// The datagram is then as it was.
pub fn open<'d>(keys: &[RingKey], datagram: &'d mut [u8]) -> Result<&'d [u8], Reject> {
    if keys.is_empty()
        && let Some(payload) = plain(datagram)
    {
        return datagram.get(payload).ok_or(Reject::Truncated);
    }
    if !keys.is_empty() {
        return open_sealed(keys, datagram).map(|(payload, _)| payload);
    }
    let envelope = Envelope::read(datagram)?;
    let payload = envelope.payload.ok_or(Reject::MissingField);
    if envelope.encrypted || envelope.nonce.is_some() {
        return Err(Reject::NoKey);
    }
    datagram.get(payload?).ok_or(Reject::Truncated)
}

/// The same with keys, of which there is at least one; the nonce, too.
///
/// # Errors
/// As [`open`].
pub fn open_sealed<'d>(
    keys: &[RingKey],
    datagram: &'d mut [u8],
) -> Result<(&'d [u8], [u8; NONCE]), Reject> {
    let envelope = Envelope::read(datagram)?;
    let payload = envelope.payload.ok_or(Reject::MissingField);
    let nonce = envelope.nonce.ok_or(Reject::NotSealed)?;
    let nonce: [u8; NONCE] = datagram
        .get(nonce)
        .and_then(|nonce| nonce.try_into().ok())
        .ok_or(Reject::Malformed)?;
    let sealed = datagram.get_mut(payload?).ok_or(Reject::Truncated)?;
    // A key that does not fit leaves the bytes as they are, for the next one.
    if !keys
        .iter()
        .any(|key| crypto_secretbox_open_easy_inplace(sealed, &nonce, key.bytes()).is_ok())
    {
        return Err(Reject::WrongKey);
    }
    // Opened, it stands at the front; what was the tag's room is left behind it.
    sealed
        .len()
        .checked_sub(TAG)
        .and_then(|len| sealed.get(..len))
        .map(|payload| (payload, nonce))
        .ok_or(Reject::Truncated)
}

/// The payload of a datagram that is an envelope with nothing else in it.
#[inline]
fn plain(datagram: &[u8]) -> Option<Range<usize>> {
    let mut fields = Fields::new(datagram);
    let payload = fields.bytes_if(PAYLOAD >> 3).ok()??;
    let start = datagram.len() - payload.len();
    (fields.left() == 0).then_some(start..datagram.len())
}

/// Where the parts of a `Wire` stand in its datagram.
#[derive(Default)]
struct Envelope {
    encrypted: bool,
    nonce: Option<Range<usize>>,
    payload: Option<Range<usize>>,
}

impl Envelope {
    fn read(datagram: &[u8]) -> Result<Self, Reject> {
        let mut envelope = Envelope::default();
        let mut fields = Fields::new(datagram);
        while let Some(field) = fields.next()? {
            // A value ends where its field does.
            let end = datagram.len() - fields.left();
            match field {
                (1, Value::Varint(encrypted)) => envelope.encrypted = encrypted != 0,
                (2, Value::Bytes(nonce)) => envelope.nonce = Some(end - nonce.len()..end),
                (3, Value::Bytes(payload)) => envelope.payload = Some(end - payload.len()..end),
                _ => {}
            }
        }
        Ok(envelope)
    }
}

/// Puts the envelope around the payload that stands at `buf[HEADROOM..][..payload_len]`, sealed with a
/// key and a nonce that was never used before, or plain. Returns where in `buf` the datagram is.
///
/// An empty range means that there is no such payload: `buf` ends before it does, or it is 2 MiB or more.
#[must_use]
pub fn seal(
    key: Option<(&RingKey, [u8; NONCE])>,
    buf: &mut [u8],
    payload_len: usize,
) -> Range<usize> {
    let end = HEADROOM.saturating_add(payload_len);
    if end > buf.len() || payload_len >= (1 << (7 * MAX_LENGTH)) - TAG {
        return 0..0;
    }
    let Some((key, nonce)) = key else {
        let start = HEADROOM - plain_overhead(payload_len);
        Writer::new(buf, start).head(PAYLOAD, payload_len);
        return start..end;
    };
    // The cipher wants the tag's room behind the message and moves it to the front itself.
    buf.copy_within(HEADROOM..end, HEADROOM - TAG);
    let Some(message) = buf.get_mut(HEADROOM - TAG..end) else {
        return 0..0;
    };
    if crypto_secretbox_easy_inplace(message, &nonce, key.bytes()).is_err() {
        return 0..0;
    }
    let start = HEADROOM - sealed_overhead(payload_len);
    let mut out = Writer::new(buf, start);
    out.bytes(&SEALED_HEAD);
    out.bytes(&nonce);
    out.head(PAYLOAD, TAG + payload_len);
    start..end
}

/// Puts the envelope around a payload of any size, sealed with a key and a nonce that was never used before,
/// or plain: appends it to `frame`.
pub fn seal_into(key: Option<(&RingKey, [u8; NONCE])>, payload: &[u8], frame: &mut Vec<u8>) {
    let Some((key, nonce)) = key else {
        frame.reserve(plain_overhead(payload.len()) + payload.len());
        push_head(frame, payload.len());
        frame.extend_from_slice(payload);
        return;
    };
    frame.reserve(sealed_overhead(payload.len()) + payload.len());
    frame.extend_from_slice(&SEALED_HEAD);
    frame.extend_from_slice(&nonce);
    push_head(frame, TAG + payload.len());
    let start = frame.len();
    frame.extend_from_slice(payload);
    frame.resize(start + payload.len() + TAG, 0);
    if let Some(message) = frame.get_mut(start..) {
        // Fails only for messages of 2^38 bytes.
        let _ = crypto_secretbox_easy_inplace(message, &nonce, key.bytes());
    }
}

/// The tag and length of `payload`.
fn push_head(frame: &mut Vec<u8>, len: usize) {
    let mut head = [0; 1 + 10];
    Writer::new(&mut head, 0).head(PAYLOAD, len);
    frame.extend(head.iter().take(1 + varint_len(len as u64)));
}
