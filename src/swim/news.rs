//! Which members' records are news, and how often each was told: the least-told go first, as many as
//! fit (PROTOCOL.md §2, "Piggyback").

use std::hash::{Hash, Hasher};

use crate::lists::Lists;

/// A row of the member table.
pub(crate) type RowKey = u32;

/// No more than this many tellings, however large the ring.
const LEVELS: usize = 128;

/// In [`Piece::by`]: nobody has told it.
const NOBODY: u16 = u16::MAX;

/// No news of that row.
pub(crate) const COLD: u32 = u32::MAX;

/// When a record is no news any more.
#[derive(Clone, Copy)]
pub(crate) struct Enough {
    /// It was told so often.
    pub told: usize,
    /// Or told, and heard from others, so often together.
    pub told_and_heard: usize,
}

/// A record that is news.
struct Piece {
    row: RowKey,
    /// How often others told it here.
    heard: u8,
    /// Whose telling counted last (the end of its row's key).
    by: u16,
}

/// One list for each number of tellings; in each, the newest goes first, so that a crowd of old news
/// never delays a fresh accusation.
pub(crate) struct News {
    levels: Lists<Piece>,
    /// No list below this one holds anything.
    lowest: usize,
}

/// Where a walk over the news stands.
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    level: usize,
    next: Option<u32>,
}

impl News {
    pub fn new() -> Self {
        News {
            levels: Lists::new(LEVELS),
            lowest: LEVELS,
        }
    }

    pub fn len(&self) -> usize {
        self.levels.len()
    }

    /// The row is news, told to nobody yet. Takes and returns the row's place among the news.
    pub fn add(&mut self, row: RowKey, place: u32) -> u32 {
        self.lowest = 0;
        if place == COLD {
            let piece = Piece {
                row,
                heard: 0,
                by: NOBODY,
            };
            return self.levels.push_back(0, piece);
        }
        if let Some(piece) = self.levels.get_mut(place) {
            (piece.heard, piece.by) = (0, NOBODY);
        }
        self.levels.move_to_back(place, 0);
        place
    }

    pub fn remove(&mut self, place: u32) {
        if place != COLD {
            self.levels.remove(place);
        }
    }

    /// The row at this place was told once more; `None`: that was often enough, it is no news any more.
    pub fn told(&mut self, place: u32, enough: Enough) -> Option<u32> {
        let level = self.levels.list_of(place)? + 1;
        if self.is_known(place, level, enough) {
            self.levels.remove(place);
            return None;
        }
        self.levels.move_to_back(place, level);
        Some(place)
    }

    /// The row at this place was heard from the member of row `by`; `None`: that was often enough, it is no news any more.
    /// Who repeats itself counts once, or a single member could keep others from telling what it says it knows.
    pub fn heard(&mut self, place: u32, by: RowKey, enough: Enough) -> Option<u32> {
        let level = self.levels.list_of(place)?;
        let piece = self.levels.get_mut(place)?;
        let by = by as u16;
        if std::mem::replace(&mut piece.by, by) == by {
            return Some(place);
        }
        piece.heard = piece.heard.saturating_add(1);
        if self.is_known(place, level, enough) {
            self.levels.remove(place);
            return None;
        }
        Some(place)
    }

    fn is_known(&self, place: u32, told: usize, enough: Enough) -> bool {
        let heard = self.levels.get(place).map_or(0, |piece| piece.heard);
        let both = told + usize::from(heard);
        told >= enough.told.min(LEVELS) || told > 0 && both >= enough.told_and_heard
    }

    /// Gives back what a crowd of news took, now that most is cold. `moved` is told each row's new place.
    pub fn shrink(&mut self, mut moved: impl FnMut(RowKey, u32)) {
        if self.levels.is_sparse() {
            self.levels.shrink(|piece, place| moved(piece.row, place));
        }
    }

    /// How often the least told was told; `None`: there is no news.
    pub fn least_told(&mut self) -> Option<usize> {
        let walk = self.walk();
        walk.next.map(|_| walk.level)
    }

    /// What was told less often than that, the least told first.
    pub fn told_less(&mut self, enough: usize) -> impl Iterator<Item = RowKey> {
        let mut walk = self.walk();
        std::iter::from_fn(move || {
            let (_, row) = self.step(&mut walk)?;
            (walk.level < enough).then_some(row)
        })
    }

    /// Begins a walk from the least told to the most told.
    pub fn walk(&mut self) -> Walk {
        while self.lowest < LEVELS && self.levels.back(self.lowest).is_none() {
            self.lowest += 1;
        }
        Walk {
            level: self.lowest,
            next: self.newest(self.lowest),
        }
    }

    /// The next place and row of a walk, while nothing is changed in between.
    pub fn step(&self, walk: &mut Walk) -> Option<(u32, RowKey)> {
        while walk.next.is_none() {
            walk.level += 1;
            if walk.level >= LEVELS {
                return None;
            }
            walk.next = self.newest(walk.level);
        }
        let place = walk.next?;
        walk.next = self.levels.prev(place);
        Some((place, self.levels.get(place)?.row))
    }

    fn newest(&self, level: usize) -> Option<u32> {
        self.levels.back(level)
    }
}

/// Which rows are news, and how often each was told.
impl Hash for News {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut walk = Walk {
            level: 0,
            next: self.newest(0),
        };
        while let Some((place, row)) = self.step(&mut walk) {
            let heard = (self.levels.get(place)).map(|piece| (piece.heard, piece.by));
            (walk.level, row, heard).hash(hasher);
        }
    }
}

/// How often a piece of news is told in a ring of this many living members: `factor` · log₂(n + 1).
pub(crate) fn tellings(factor: f64, living: usize) -> usize {
    (factor * libm::log2(living as f64 + 1.0)).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn often(told: usize) -> Enough {
        Enough {
            told,
            told_and_heard: usize::MAX,
        }
    }

    #[test]
    fn what_comes_back_from_others_need_not_be_told_as_often() {
        let enough = Enough {
            told: 9,
            told_and_heard: 5,
        };
        let mut news = News::new();
        let place = news.add(7, COLD);
        for by in 0..5 {
            let left = news.heard(place, by, enough);
            assert_eq!(left, Some(place), "it was told to nobody");
        }
        assert_eq!(news.told(place, enough), None);
        // What is news again was not heard yet.
        let place = news.add(7, COLD);
        news.heard(place, 1, enough);
        news.add(7, place);
        for _ in 0..3 {
            assert_eq!(news.told(place, enough), Some(place));
        }
        assert_eq!(news.heard(place, 1, enough), Some(place));
        assert_eq!(news.heard(place, 2, enough), None);
        assert_eq!(news.len(), 0);
    }

    #[test]
    fn who_repeats_itself_is_heard_once() {
        let enough = Enough {
            told: 9,
            told_and_heard: 5,
        };
        let mut news = News::new();
        let place = news.add(7, COLD);
        assert_eq!(news.told(place, enough), Some(place));
        for _ in 0..100 {
            assert_eq!(news.heard(place, 3, enough), Some(place));
        }
        for _ in 0..2 {
            assert_eq!(news.told(place, enough), Some(place));
        }
        assert_eq!(news.told(place, enough), None);
    }

    fn rows(news: &mut News) -> Vec<RowKey> {
        let mut walk = news.walk();
        std::iter::from_fn(|| news.step(&mut walk))
            .map(|(_, row)| row)
            .collect()
    }

    #[test]
    fn the_least_told_go_first_and_the_newest_of_those() {
        let mut news = News::new();
        let places: Vec<_> = (0..3).map(|row| news.add(row, COLD)).collect();
        assert_eq!(rows(&mut news), [2, 1, 0]);
        assert_eq!(news.told(places[2], often(9)), Some(places[2]));
        assert_eq!(rows(&mut news), [1, 0, 2]);
    }

    #[test]
    fn what_was_told_often_enough_is_no_news() {
        let mut news = News::new();
        let place = news.add(7, COLD);
        assert_eq!(news.told(place, often(3)), Some(place));
        assert_eq!(news.told(place, often(3)), Some(place));
        assert_eq!(news.told(place, often(3)), None);
        assert!(rows(&mut news).is_empty());
    }

    #[test]
    fn news_again_begins_anew() {
        let mut news = News::new();
        let first = news.add(1, COLD);
        news.add(2, COLD);
        news.told(first, often(9));
        assert_eq!(news.add(1, first), first);
        assert_eq!(rows(&mut news), [1, 2]);
        assert_eq!(news.len(), 2);
    }

    #[test]
    fn tellings_grow_with_the_logarithm() {
        assert_eq!([1, 7, 1023].map(|living| tellings(3.0, living)), [3, 9, 30]);
    }
}
