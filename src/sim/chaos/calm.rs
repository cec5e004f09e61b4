//! What has to be true once nothing goes wrong any more: all agree, and then it is quiet.

use std::collections::BTreeSet;
use std::time::Duration;

use super::storm::Storm;
use super::users;
use crate::config::Timing;
use crate::member::{Health, MemberId};
use crate::rumor::{ElectionStatus, RumorId, RumorKind, ServiceGroup};
use crate::sim::{Fault, Index, Sim};

/// So many of the longest pauses, in which seeds and the dead are asked, pass at most until all agree.
const PATIENCE: u32 = 6;

/// And so many rounds, in which each member is probed once.
const ROUNDS: u32 = 3;

/// So many periods it has to be quiet.
const WATCHED: u32 = 60;

/// Lets everything heal and waits until all agree; then looks whether that lasts, and is quiet. What is not
/// as it has to be, and how long it took.
pub(super) fn come_to_rest(storm: &mut Storm<'_>) -> (Vec<String>, Option<Duration>) {
    storm.end();
    let timing = storm.plan.timing();
    let (start, sim) = (storm.sim.now(), &storm.sim);
    let round = sim.up().map(|member| sim.node(member).member_count());
    let round = timing.period * round.max().unwrap_or_default() as u32;
    let most = timing.retry_max * PATIENCE + round * ROUNDS;
    let mut wrong = disagreement(storm);
    while let Some(what) = &wrong {
        let passed = storm.sim.now().since(start);
        if passed >= most && !(is_of_strangers(&storm.sim) && passed < most + strangers(storm)) {
            return (vec![format!("not at rest: {what}")], None);
        }
        storm.sim.run_for(timing.period / 4);
        storm.end_the_expelled();
        wrong = disagreement(storm);
    }
    let agreed_after = storm.sim.now().since(start);
    // News and rumors get cold, and pauses long. A newcomer has a record of each to tell, twelve in a period, some
    // twenty times.
    storm
        .sim
        .run_for((timing.retry_max * 3).max(round * ROUNDS));
    (unrest(storm), Some(agreed_after))
}

/// How long it takes besides until all have dropped the services of somebody whom nobody knows any more: until the word that
/// it is dead counts no longer, and two rounds later (`Gossip::sweep_services`).
fn strangers(storm: &Storm<'_>) -> Duration {
    let (timing, up) = (storm.plan.timing(), storm.sim.up().count() as u32);
    timing.sync_max * 3 * up + timing.drip * 2
}

/// Whether members disagree on nothing but services of somebody whom nobody knows any more.
fn is_of_strangers(sim: &Sim) -> bool {
    let held: Vec<BTreeSet<_>> = sim.up().map(|member| rumors_of(sim, member)).collect();
    let Some((first, others)) = held.split_first() else {
        return false;
    };
    let is_strange = |id: &RumorId| {
        let member = id.id.parse().ok().filter(|_| id.kind == RumorKind::Service);
        member.is_some_and(|id| sim.up().all(|at| sim.node(at).health_of(id).is_none()))
    };
    let differing = || {
        others
            .iter()
            .flat_map(|held| first.symmetric_difference(held))
    };
    differing().next().is_some() && differing().all(|(id, ..)| is_strange(id))
}

/// The rumors that a member holds, with their versions and bytes.
fn rumors_of(sim: &Sim, member: Index) -> BTreeSet<(RumorId, u64, Vec<u8>)> {
    let rumors = sim.node(member).rumors();
    rumors
        .map(|rumor| {
            (
                RumorId::clone(rumor.id),
                rumor.version,
                rumor.bytes().to_vec(),
            )
        })
        .collect()
}

/// What members do not agree on.
fn disagreement(storm: &Storm<'_>) -> Option<String> {
    let sim = &storm.sim;
    let living: Vec<Index> = sim.up().collect();
    let ids: BTreeSet<MemberId> = living.iter().map(|member| sim.id(*member)).collect();
    for of in &living {
        for id in &ids {
            let view = sim.node(*of).health_of(*id);
            if view != Some(Health::Alive) {
                let held = sim.node(*of).member(*id).map(|held| held.member);
                let held = held.map(|held| (held.incarnation, held.departed));
                return Some(format!(
                    "{of} holds {id}, which lives, for {view:?}, at {held:?}"
                ));
            }
        }
        let ghost = sim
            .node(*of)
            .members()
            .find(|member| member.health <= Health::Suspect && !ids.contains(&member.member.id));
        if let Some(ghost) = ghost {
            let (id, health) = (ghost.member.id, ghost.health);
            return Some(format!("{of} holds {id}, which is dead, for {health}"));
        }
    }
    if !sim.same_rumors() {
        return Some(format!("rumors differ: {}", difference(sim, &living)));
    }
    unfinished(sim, &living)
}

/// For a failure's message: a rumor that two members hold differently.
fn difference(sim: &Sim, living: &[Index]) -> String {
    let Some((first, others)) = living.split_first() else {
        return String::new();
    };
    let held = rumors_of(sim, *first);
    for other in others {
        let theirs = rumors_of(sim, *other);
        if let Some((id, version, bytes)) = held.symmetric_difference(&theirs).next() {
            let whose = if held.contains(&(id.clone(), *version, bytes.clone())) {
                first
            } else {
                other
            };
            let standing = |at: &Index| match id.id.parse() {
                Ok(member) => format!("; {at}: {}", sim.node(*at).absence(member)),
                Err(_) => String::new(),
            };
            let views: String = living.iter().map(standing).collect();
            return format!("{first} and {other}, as {id} {version} of {whose}{views}");
        }
    }
    "not any more".to_owned()
}

/// An election that could be finished and is not.
fn unfinished(sim: &Sim, living: &[Index]) -> Option<String> {
    let first = *living.first()?;
    for group in users::groups() {
        if !has_quorum(sim, first, &group) {
            continue;
        }
        for kind in [RumorKind::Election, RumorKind::ElectionUpdate] {
            for member in living {
                let Some(view) = sim.node(*member).election(kind, &group) else {
                    continue;
                };
                // The disk of who is not in the group held it, and nobody else's: there is none.
                if view.is_hint && !runs_service(sim, *member, &group) {
                    continue;
                }
                let leads = view.leader().map(|id| sim.node(*member).health_of(id));
                if view.election.status != ElectionStatus::Finished
                    || leads != Some(Some(Health::Alive))
                {
                    return Some(format!(
                        "{kind} of {group} at {member}: {:?}, led by {leads:?}",
                        view.election
                    ));
                }
            }
        }
    }
    None
}

fn runs_service(sim: &Sim, member: Index, group: &ServiceGroup) -> bool {
    let id = sim.id(member);
    sim.node(member).members_of(group).any(|it| it == id)
}

/// Whether more than half of the group's members that are not Departed are Alive (PROTOCOL.md §3).
fn has_quorum(sim: &Sim, member: Index, group: &ServiceGroup) -> bool {
    let node = sim.node(member);
    let healths = node.members_of(group).filter_map(|id| node.health_of(id));
    let (mut population, mut electorate) = (0, 0);
    for health in healths {
        population += usize::from(health != Health::Departed);
        electorate += usize::from(health == Health::Alive);
    }
    2 * electorate > population
}

/// What goes on though all agree.
fn unrest(storm: &mut Storm<'_>) -> Vec<String> {
    let mut found: Vec<String> = disagreement(storm)
        .map(|what| format!("it did not last: {what}"))
        .into_iter()
        .collect();
    // On a ring without a key flipped bits make up members, hundreds of them, and such as are probed for ever.
    let forged = storm.plan.has(Fault::Corrupt) && !storm.plan.sealed;
    let sim = &mut storm.sim;
    for member in sim.up() {
        let node = sim.node(member);
        let (news, hot) = (node.news(), node.hot_rumors());
        if news > 0 && !forged || hot > 0 {
            found.push(format!("{member} still has {news} news, {hot} hot rumors"));
        }
    }
    let (datagrams, pushes) = (sim.datagrams, sim.pushes);
    sim.run_for(storm.plan.timing().period * WATCHED);
    let up = sim.up().count() as f64;
    let each = (sim.datagrams - datagrams) as f64 / up / f64::from(WATCHED);
    let seeds = sim.up().map(|member| sim.node(member).seeds());
    let seeds = seeds.max().unwrap_or_default();
    let mut most = steady(&storm.plan.timing(), seeds, up);
    if storm.plan.sealed {
        most += first_contacts(&storm.plan.timing(), seeds, up);
    }
    if each > most && !forged {
        found.push(format!(
            "{each:.2} datagrams a member and period, and not {most:.2} at most"
        ));
    }
    let pushes = sim.pushes - pushes;
    if pushes > 0 {
        found.push(format!("{pushes} rumors are pushed though nothing is new"));
    }
    found
}

/// What a member sends at most in a period when nothing happens: a ping and an Ack; a table is compared and the
/// seeds are asked, once in each longest pause or a tenth earlier; and all members together ask one of the dead once in two
/// periods, or in half that time.
fn steady(timing: &Timing, seeds: usize, members: f64) -> f64 {
    let retry = timing.period.mul_f64(2.0 * members).min(timing.retry_max);
    2.0 + 2.0 * in_pause(timing, timing.sync_max)
        + 2.0 * seeds as f64 * in_pause(timing, timing.retry_max)
        + in_pause(timing, retry / 2)
        + 0.02
}

/// What it sends beside in a sealed ring: it asks each member once that it has not heard since either of them started, and
/// answers as many questions; and whoever pings a seed is asked, as it may have been another that it pinged so.
fn first_contacts(timing: &Timing, seeds: usize, members: f64) -> f64 {
    let watched = f64::from(WATCHED);
    2.0 * (members - 1.0).min(watched) / watched
        + 2.0 * seeds as f64 * in_pause(timing, timing.retry_max)
}

/// How often in a period something happens at most that does so once in each such pause.
fn in_pause(timing: &Timing, pause: Duration) -> f64 {
    let times = f64::from(WATCHED) * timing.period.as_secs_f64() / (0.9 * pause.as_secs_f64());
    (times.floor() + 1.0) / f64::from(WATCHED)
}
