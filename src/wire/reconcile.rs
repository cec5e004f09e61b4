//! The extension by which two members compare their stores of rumors: parts of an Ack's `reconcile`.

use super::field::{BYTES, Fields, Value, Writer, bytes_len, tag};
use crate::error::Reject;
use crate::limits::MAX_ANSWER;

/// One thing that is said of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stands for the contents below each child of a node of the tree of hashes.
    Sums {
        /// How far below the root the node is.
        depth: u8,
        /// Where at that depth.
        prefix: u16,
        /// A number for each child.
        sums: Vec<u32>,
    },
    /// These are all hashes held from `first` to `last`, ascending.
    All {
        /// The first of the range.
        first: u64,
        /// The last of the range.
        last: u64,
        /// Those that are held.
        hashes: Vec<u64>,
    },
    /// These are held, and perhaps others.
    Have(Vec<u64>),
    /// These are wanted: push them.
    Want(Vec<u64>),
    /// What a member says to a question of the receiver's.
    Reply {
        /// Names the question.
        query: u64,
        /// What it is.
        reply: Reply,
        /// What it says.
        payload: Vec<u8>,
    },
    /// The sender has this reply to its question.
    Got {
        /// Names the question.
        query: u64,
        /// What it was.
        reply: Reply,
    },
}

/// What a member says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reply {
    /// It has the question.
    Received = 0,
    /// It answers.
    Answer = 1,
    /// It cannot answer, and why.
    Failure = 2,
}

impl Part {
    fn content_len(&self) -> usize {
        match self {
            Part::Sums { sums, .. } => 3 + 4 * sums.len(),
            Part::All { hashes, .. } => 16 + 8 * hashes.len(),
            Part::Have(hashes) | Part::Want(hashes) => 8 * hashes.len(),
            Part::Reply { payload, .. } => 9 + payload.len(),
            Part::Got { .. } => 9,
        }
    }

    /// Its bytes, with its head.
    #[allow(clippy::len_without_is_empty)] // None is.
    pub fn len(&self) -> usize {
        bytes_len(self.content_len())
    }

    /// Appends its bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let number = match self {
            Part::Sums { .. } => 1,
            Part::All { .. } => 2,
            Part::Have(_) => 3,
            Part::Want(_) => 4,
            Part::Reply { .. } => 5,
            Part::Got { .. } => 6,
        };
        let mut head = [0; 11];
        Writer::new(&mut head, 0).head(tag(number, BYTES), self.content_len());
        out.extend(head.iter().take(self.len() - self.content_len()));
        match self {
            Part::Sums {
                depth,
                prefix,
                sums,
            } => {
                out.push(*depth);
                out.extend_from_slice(&prefix.to_le_bytes());
                out.extend(sums.iter().flat_map(|sum| sum.to_le_bytes()));
            }
            Part::All {
                first,
                last,
                hashes,
            } => {
                out.extend_from_slice(&first.to_le_bytes());
                out.extend_from_slice(&last.to_le_bytes());
                out.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
            }
            Part::Have(hashes) | Part::Want(hashes) => {
                out.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
            }
            Part::Reply {
                query,
                reply,
                payload,
            } => {
                out.extend_from_slice(&query.to_le_bytes());
                out.push(*reply as u8);
                out.extend_from_slice(payload);
            }
            Part::Got { query, reply } => {
                out.extend_from_slice(&query.to_le_bytes());
                out.push(*reply as u8);
            }
        }
    }
}

/// Reads all parts; unknown ones are skipped.
///
/// # Errors
/// `Truncated` or `Malformed`.
pub fn read_parts(bytes: &[u8]) -> Result<Vec<Part>, Reject> {
    let mut parts = Vec::new();
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(content)) => parts.push(read_sums(content)?),
            (2, Value::Bytes(content)) => {
                let (range, hashes) = content.split_at_checked(16).ok_or(Reject::Truncated)?;
                let [first, last] = read_hashes(range)?[..] else {
                    return Err(Reject::Malformed);
                };
                parts.push(Part::All {
                    first,
                    last,
                    hashes: read_hashes(hashes)?,
                });
            }
            (3, Value::Bytes(content)) => parts.push(Part::Have(read_hashes(content)?)),
            (4, Value::Bytes(content)) => parts.push(Part::Want(read_hashes(content)?)),
            (5, Value::Bytes(content)) => {
                let (query, reply, payload) = read_reply(content)?;
                parts.push(Part::Reply {
                    query,
                    reply,
                    payload: payload.to_vec(),
                });
            }
            (6, Value::Bytes(content)) => {
                let (query, reply, _) = read_reply(content)?;
                parts.push(Part::Got { query, reply });
            }
            _ => {}
        }
    }
    Ok(parts)
}

fn read_sums(content: &[u8]) -> Result<Part, Reject> {
    let [depth, low, high, sums @ ..] = content else {
        return Err(Reject::Truncated);
    };
    let (sums, []) = sums.as_chunks() else {
        return Err(Reject::Malformed);
    };
    Ok(Part::Sums {
        depth: *depth,
        prefix: u16::from_le_bytes([*low, *high]),
        sums: sums.iter().copied().map(u32::from_le_bytes).collect(),
    })
}

fn read_reply(content: &[u8]) -> Result<(u64, Reply, &[u8]), Reject> {
    let (query, rest) = content.split_first_chunk().ok_or(Reject::Truncated)?;
    let (reply, payload) = match rest {
        [0, rest @ ..] => (Reply::Received, rest),
        [1, rest @ ..] => (Reply::Answer, rest),
        [2, rest @ ..] => (Reply::Failure, rest),
        _ => return Err(Reject::Malformed),
    };
    if payload.len() > MAX_ANSWER {
        return Err(Reject::Oversized);
    }
    Ok((u64::from_le_bytes(*query), reply, payload))
}

fn read_hashes(content: &[u8]) -> Result<Vec<u64>, Reject> {
    let (hashes, []) = content.as_chunks() else {
        return Err(Reject::Malformed);
    };
    Ok(hashes.iter().copied().map(u64::from_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<Part> {
        vec![
            Part::Sums {
                depth: 1,
                prefix: 31,
                sums: (0..32).collect(),
            },
            Part::All {
                first: 1 << 60,
                last: u64::MAX,
                hashes: vec![1 << 61, 1 << 62],
            },
            Part::Have(vec![]),
            Part::Want(vec![7; 90]),
            Part::Reply {
                query: 7 << 40,
                reply: Reply::Answer,
                payload: vec![9; MAX_ANSWER],
            },
            Part::Got {
                query: 8,
                reply: Reply::Failure,
            },
        ]
    }

    #[test]
    fn parts_survive_the_wire() {
        let mut bytes = Vec::new();
        for part in parts() {
            let before = bytes.len();
            part.write(&mut bytes);
            assert_eq!(bytes.len() - before, part.len());
        }
        assert_eq!(read_parts(&bytes).unwrap(), parts());
    }

    #[test]
    fn what_is_cut_off_is_refused_and_what_is_unknown_skipped() {
        let mut bytes = Vec::new();
        parts()[1].write(&mut bytes);
        for end in 1..bytes.len() {
            assert!(read_parts(&bytes[..end]).is_err(), "{end}");
        }
        assert_eq!(read_parts(&[9 << 3 | 2, 1, 0]).unwrap(), []);
        let unknown = [5 << 3 | 2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 3];
        for odd in [
            &[1 << 3 | 2, 4, 0, 0, 0, 1][..],
            &[3 << 3 | 2, 1, 0],
            &unknown,
        ] {
            assert_eq!(read_parts(odd), Err(Reject::Malformed));
        }
    }
}
