//! Records that are news, and when and to whom they are told next.

use super::news::{COLD, Enough, News, RowKey};
use super::table::Table;
use crate::config::Timing;
use crate::env::{Env, Timer};
use crate::limits::MAX_MEMBERS;
use crate::stats::Gauge;
use crate::successor::Successor;

#[derive(Hash)]
pub(super) struct Updates {
    pub news: News,
    /// Whether a push of news is due.
    pub pushing: bool,
    /// Who is told first what is new.
    pub successor: Successor,
    /// The row that the next filler comes from.
    pub filler: RowKey,
}

impl Updates {
    pub fn new() -> Self {
        Updates {
            news: News::new(),
            pushing: false,
            successor: Successor::new(),
            filler: 0,
        }
    }

    /// The row's record is news, and pushed soon.
    pub fn heat(&mut self, env: &mut Env, table: &mut Table, timing: &Timing, key: RowKey) {
        if let Some(row) = table.get_mut(key) {
            row.news = self.news.add(key, row.news);
            self.push_soon(env, timing);
        }
    }

    /// The row's record is no news any more.
    pub fn cool(&mut self, table: &mut Table, key: RowKey) {
        if let Some(row) = table.get_mut(key) {
            self.news.remove(std::mem::replace(&mut row.news, COLD));
        }
    }

    /// There is news: it is pushed soon, together with what comes until then.
    pub fn push_soon(&mut self, env: &mut Env, timing: &Timing) {
        if !self.pushing && timing.push_fanout > 0 {
            self.pushing = true;
            env.timers.insert(env.now, Timer::PushDue);
        }
    }

    /// The member of row `by`, which lives, told what is held of another one, as news has it, too.
    pub fn heard(&mut self, table: &mut Table, key: RowKey, by: RowKey, enough: Enough) {
        if let Some(row) = table.get_mut(key).filter(|row| row.news != COLD) {
            row.news = self.news.heard(row.news, by, enough).unwrap_or(COLD);
        }
    }

    /// The rows at these places were told once more, which is `enough` at some time.
    #[inline]
    pub fn told(
        &mut self,
        table: &mut Table,
        told: impl Iterator<Item = (u32, RowKey)>,
        enough: Enough,
    ) {
        for (place, key) in told {
            let kept = self.news.told(place, enough);
            if let Some(row) = table.get_mut(key) {
                row.news = kept.unwrap_or(COLD);
            }
        }
        self.news.shrink(|key, place| {
            if let Some(row) = table.get_mut(key) {
                row.news = place;
            }
        });
    }

    pub fn sizes(&self) -> [Gauge; 1] {
        [Gauge::new("news", self.news.len(), MAX_MEMBERS)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{env, id, ring_of};
    use super::*;

    #[test]
    fn news_is_pushed_once_and_cold_when_it_was_told_often_enough() {
        let (timing, mut env) = (Timing::lan(), env());
        let mut table = ring_of(&mut env, 3);
        let mut updates = Updates::new();
        let keys = [2, 3].map(|number| table.find(&id(number)).unwrap());
        for key in keys {
            updates.heat(&mut env, &mut table, &timing, key);
        }
        assert_eq!(env.timers.live(), 1, "both are pushed together");
        let place = |table: &Table, key| table.get(key).unwrap().news;
        let (told, told_and_heard) = (2, usize::MAX);
        let enough = Enough {
            told,
            told_and_heard,
        };
        for left in [true, false] {
            let told = [(place(&table, keys[0]), keys[0])].into_iter();
            updates.told(&mut table, told, enough);
            assert_eq!(place(&table, keys[0]) != COLD, left);
        }
        updates.cool(&mut table, keys[1]);
        assert_eq!(place(&table, keys[1]), COLD);
        assert_eq!(updates.news.len(), 0);
    }
}
