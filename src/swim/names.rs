//! Names for people, one behind the other in one text: an allocation for each would take more than the
//! names themselves.

use crate::growth;

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
    pub fn get(&self, start: u32, len: u8) -> &str {
        let start = start as usize;
        self.text
            .get(start..start + usize::from(len))
            .unwrap_or_default()
    }

    /// Adds a name of less than 256 bytes: where it begins, and its bytes.
    pub fn add(&mut self, name: &str) -> (u32, u8) {
        let start = self.text.len() as u32;
        if self.text.capacity() - self.text.len() < name.len() {
            self.text
                .reserve_exact(name.len() + growth::step(self.text.len()));
        }
        self.text.push_str(name);
        (start, name.len() as u8)
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

    /// The same without those that are gone: each of `kept`, by its beginning, which is put right, and its
    /// bytes.
    pub fn of<'n>(names: &Names, kept: impl Iterator<Item = (&'n mut u32, u8)>) -> Self {
        let mut text = String::with_capacity(names.text.len().saturating_sub(names.gone));
        for (start, len) in kept {
            let name = names.get(*start, len);
            *start = text.len() as u32;
            text.push_str(name);
        }
        Names { text, gone: 0 }
    }
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
        assert_eq!(names.get(0, 0), "");
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
}
