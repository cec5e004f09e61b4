//! Rumors of kinds of our own, in a file that only this program reads: `RUMORS`. The snapshot has no section for them, as
//! other programs read it, too.
//!
//! A byte says the version, then come the messages, each after its length, and at the end BLAKE2b-256 of all that.

use std::sync::Arc;

use super::checksum::Sum;

const VERSION: u8 = 1;
/// Bytes of the checksum at the end.
const SUM: usize = 32;

/// The content of a file with these messages.
pub(super) fn write(messages: &[Arc<[u8]>]) -> std::io::Result<Vec<u8>> {
    let bytes: usize = messages.iter().map(|message| 8 + message.len()).sum();
    let mut content = Vec::with_capacity(1 + bytes + SUM);
    content.push(VERSION);
    for message in messages {
        content.extend_from_slice(&(message.len() as u64).to_le_bytes());
        content.extend_from_slice(message);
    }
    let sum = Sum::of(&content)?;
    content.extend_from_slice(sum.bytes());
    Ok(content)
}

/// The messages in a file, or why it is none.
pub(super) fn read(content: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let (body, sum) = content
        .split_last_chunk::<SUM>()
        .ok_or("it ends too early")?;
    let is_whole = Sum::of(body).is_ok_and(|it| it.bytes() == sum);
    let mut rest = match body {
        _ if !is_whole => return Err("it is damaged: its checksum is another"),
        [VERSION, rest @ ..] => rest,
        _ => return Err("it is of a version that this program does not read"),
    };
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let (message, after) = first(rest).ok_or("a message in it is cut off")?;
        messages.push(message);
        rest = after;
    }
    Ok(messages)
}

fn first(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = rest.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_file() {
        let messages: Vec<Arc<[u8]>> = vec![b"one".to_vec().into(), vec![0; 300].into()];
        let content = write(&messages).unwrap();
        assert!(
            read(&content)
                .unwrap()
                .into_iter()
                .eq(messages.iter().map(|it| &**it))
        );
        assert_eq!(read(&write(&[]).unwrap()), Ok(Vec::new()));
    }

    #[test]
    fn what_is_damaged_or_of_another_version_is_no_such_file() {
        let content = write(&[b"one".to_vec().into()]).unwrap();
        for place in 0..content.len() {
            let mut damaged = content.clone();
            damaged[place] ^= 1;
            assert!(read(&damaged).is_err(), "{place}");
            assert!(read(&content[..place]).is_err(), "{place}");
        }
        let mut later = vec![VERSION + 1];
        let sum = Sum::of(&later).unwrap();
        later.extend_from_slice(sum.bytes());
        assert!(read(&later).unwrap_err().contains("version"));
    }
}
