//! What a member takes in when it is told to read its settings again, by SIGHUP.

use butterfly::Seed;
use log::{error, info, warn};

use super::Agent;
use super::keys::Keys;
use crate::address;
use crate::logging;
use crate::plan;
use crate::reread::Again;
use crate::seeds::By;
use crate::settings::Settings;

/// Settings that count at once. All others count from the next start on.
pub const AT_ONCE: [&str; 4] = ["peer", "ring-key", "tag", "log"];

impl Agent {
    /// The settings in effect, as a file would have them, and where each comes from; but for the commands.
    pub fn settings(&self) -> String {
        let (first, last) = (self.reread.first(), self.reread.settings());
        let settings = last.in_effect(first, &AT_ONCE);
        let text = settings.print(|name| plan::default(name, &first.args));
        // Commands may hold what is nobody else's business.
        let lines = text.lines().map(|line| match line.split_once(" = ") {
            Some(("on", _)) => "# on: set, and not told".to_owned(),
            _ => line.to_owned(),
        });
        let late = self.late();
        let late = (!late.is_empty()).then(|| {
            format!(
                "# read since, and counts from the next start on: {}",
                late.join(", ")
            )
        });
        lines.chain(late).map(|line| line + "\n").collect()
    }

    /// What was read and waits for the next start.
    fn late(&self) -> Vec<&str> {
        let changed = self.reread.settings().changed(self.reread.first());
        changed.filter(|name| !AT_ONCE.contains(name)).collect()
    }

    /// Reads the settings and the ring keys again; if that fails, the old ones stay.
    pub fn reload(&mut self) {
        if let Err(why) = self.reread.begin() {
            warn!("{why}");
        }
    }

    /// Takes in what was read again.
    pub fn reloaded(&mut self) {
        let Some(answer) = self.reread.answer() else {
            return;
        };
        match answer {
            Ok(again) => self.take_in(again),
            Err(failure) => error!("the old settings and ring keys stay: {failure}"),
        }
    }

    fn take_in(&mut self, again: Again) {
        let Again { settings, plan } = again;
        let keys = plan.config.ring_keys;
        if self.keys.are_of_ring() {
            info!(
                "the ring keys stay as the ring was given them: files count only where it was given none"
            );
        } else if !keys.is_empty() {
            self.keys = Keys::of_files(&keys);
            info!(
                "ring keys read again: {}; the first seals",
                self.keys.names().join(", ")
            );
            self.member.set_ring_keys(keys);
        } else if !self.keys.is_empty() {
            warn!(
                "no ring key is among the settings any more: the old ones stay until this member starts again"
            );
        }
        logging::set_level(settings.args.log_level());
        let old = self.reread.replace(settings);
        self.change_peers(&old, &plan.peers);
        let tags = self.reread.settings().args.tag.clone();
        if tags != old.args.tag {
            self.reload_tags(&tags);
        }
        self.tell_of_changes(&old);
    }

    fn change_peers(&mut self, old: &Settings, peers: &[Seed]) {
        let written = self.reread.settings().args.peer.clone();
        for (peer, written) in peers.iter().zip(&written) {
            if old.args.peer.contains(written) {
                continue;
            }
            if let Some(why) = self.unreachable(peer) {
                warn!("{why}");
            }
            match self.join(peer) {
                Ok(()) => {
                    info!("peer {written} is new among the settings: it is asked for its ring")
                }
                Err(error) => {
                    warn!("peer {written} is new among the settings, and is not asked: {error}")
                }
            }
        }
        let gone = old.args.peer.iter().filter(|peer| !written.contains(peer));
        for peer in gone.filter_map(|peer| address::peer(peer).ok()) {
            if self.seeds.remove(&mut self.member, &peer, By::Hand) {
                info!("peer {peer} is no more among the settings: it is asked no more");
            }
        }
    }

    fn tell_of_changes(&self, old: &Settings) {
        let now = self.reread.settings();
        if now.changed(old).next().is_none() {
            info!("settings read again: they are as before");
        }
        if now.args.log != old.args.log {
            info!(
                "it logs from level {} on",
                log::max_level().as_str().to_lowercase()
            );
        }
        // Of those, what is as at the start again counts already.
        let late = self.late();
        let is_news = now.changed(old).any(|name| !AT_ONCE.contains(&name));
        if is_news && !late.is_empty() {
            warn!(
                "what changed of {} counts from the next start on",
                late.join(", ")
            );
        }
    }
}
