//! Names for people, one behind the other in one text: an allocation for each would take more than the
//! names themselves.

use crate::growth;

/// Where a name begins, in 25 bits: all names of a full table have 8 MiB, and as much may be gone. The other seven
/// are of its hash: mostly a name can be told from another without a look at it, which would be one more place in memory
/// for each message.
#[derive(Clone, Copy)]
pub(super) struct NameRef(u32);

impl NameRef {
    /// That of no name.
    pub const EMPTY: NameRef = NameRef(0);

    const BITS: u32 = 25;

    fn new(start: usize, name: &str) -> Self {
        NameRef(start as u32 & ((1 << Self::BITS) - 1) | u32::from(hash(name)) << Self::BITS)
    }

    fn start(self) -> usize {
        (self.0 & ((1 << Self::BITS) - 1)) as usize
    }

    /// Whether it is this name, or one of those few that cannot be told from it here; `len`: its bytes.
    #[inline]
    pub fn may_be(self, len: u8, name: &str) -> bool {
        usize::from(len) == name.len()
            && (len == 0 || self.0 >> Self::BITS == u32::from(hash(name)))
    }
}

/// Seven bits. Multiplies eight bytes at a time.
#[inline]
fn hash(name: &str) -> u8 {
    let mut hash = 0_u64;
    let mut absorb = |chunk: &[u8; 8]| {
        hash = (hash ^ u64::from_le_bytes(*chunk)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    };
    let (chunks, rest) = name.as_bytes().as_chunks::<8>();
    chunks.iter().for_each(&mut absorb);
    if !rest.is_empty() {
        let mut last = [0; 8];
        for (place, byte) in last.iter_mut().zip(rest) {
            *place = *byte;
        }
        absorb(&last);
    }
    (hash >> 57) as u8
}

pub(super) struct Names {
    text: String,
    /// Bytes of names that are gone.
    gone: usize,
}

impl Names {
    pub fn new() -> Self {
        Names {
            text: String::new(),
            gone: 0,
        }
    }

    /// The name of so many bytes that begins there.
    pub fn get(&self, name: NameRef, len: u8) -> &str {
        let start = name.start();
        self.text
            .get(start..start + usize::from(len))
            .unwrap_or_default()
    }

    /// Adds a name of less than 256 bytes: where it is, and its bytes.
    pub fn add(&mut self, name: &str) -> (NameRef, u8) {
        let place = NameRef::new(self.text.len(), name);
        if self.text.capacity() - self.text.len() < name.len() {
            self.text
                .reserve_exact(name.len() + growth::step(self.text.len()));
        }
        self.text.push_str(name);
        (place, name.len() as u8)
    }

    /// A name of so many bytes is not needed any more.
    pub fn remove(&mut self, len: u8) {
        self.gone += usize::from(len);
    }

    /// Most of it is names that are gone.
    pub fn is_sparse(&self) -> bool {
        /// Less is not worth the work.
        const FEW: usize = 1_024;
        self.gone > FEW.max(self.text.len() / 2)
    }

    /// The same without those that are gone: each of `kept`, by its place, which is put right, and its bytes.
    pub fn of<'n>(names: &Names, kept: impl Iterator<Item = (&'n mut NameRef, u8)>) -> Self {
        let mut text = String::with_capacity(names.text.len().saturating_sub(names.gone));
        for (place, len) in kept {
            let name = names.get(*place, len);
            *place = NameRef::new(text.len(), name);
            text.push_str(name);
        }
        Names { text, gone: 0 }
    }
}

/// The longest start of a text that has no more bytes than this.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_while_others_come_and_go() {
        let mut names = Names::new();
        let mut held: Vec<_> = (0..50)
            .map(|number| names.add(&format!("m{number}")))
            .collect();
        assert_eq!(names.get(NameRef::EMPTY, 0), "");
        let mut most = 0;
        for round in 0..1_000 {
            let one = &mut held[round % 49];
            names.remove(one.1);
            *one = names.add(&format!("m{}", round % 49));
            if names.is_sparse() {
                let kept = held.iter_mut().map(|(start, len)| (start, *len));
                names = Names::of(&names, kept);
            }
            most = most.max(names.text.capacity());
        }
        for (number, (start, len)) in held.iter().enumerate() {
            assert_eq!(names.get(*start, *len), format!("m{number}"));
        }
        assert!(most < 2_000, "{most}");
    }

    #[test]
    fn a_name_is_told_from_most_others_without_a_look_at_it() {
        let mut names = Names::new();
        names.add("some name before it");
        for text in [
            "a",
            "web-17",
            "12345678",
            "a-name-of-exactly-thirty-two-byt",
        ] {
            let (name, len) = names.add(text);
            assert!(name.may_be(len, text));
            assert_eq!(names.get(name, len), text);
            let longer = format!("{text}1");
            assert!(!name.may_be(len, &longer) && !name.may_be(len, ""));
            let others = (0..10_000).map(|number| format!("{number:0>len$}", len = text.len()));
            let others = others.filter(|other| other.len() == text.len() && other != text);
            let (all, alike) = others.fold((0, 0), |(all, alike), other| {
                (all + 1, alike + usize::from(name.may_be(len, &other)))
            });
            assert!(alike <= 1 + all / 100, "{alike} of {all} pass for {text}");
        }
        assert!(NameRef::EMPTY.may_be(0, ""));
    }

    #[test]
    fn all_names_of_a_full_table_have_a_place_and_as_many_that_are_gone() {
        let most = 2 * crate::limits::MAX_MEMBERS * crate::limits::MAX_NAME;
        assert!(most < 1 << NameRef::BITS);
        assert_eq!(NameRef::new(most, "name").start(), most);
    }
}
