//! What a monitoring system scrapes: a series for each state or kind, never one for each member, so that a large ring
//! costs it no more than a small one.

mod exposition;
mod process;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use butterfly::stats::MessageKind;
use butterfly::{Butterfly, Health, Node, Reject, Stats};

use crate::agent::Agent;
use crate::socket_drops;
pub use exposition::CONTENT_TYPE;
use exposition::Exposition;

/// So old the text may be: anybody may ask for it, as often as they like, and to make it reads files of the system.
const FRESH: Duration = Duration::from_millis(250);

/// All metrics of this member, as they were a moment ago at most.
pub fn text(agent: &mut Agent) -> String {
    let now = Instant::now();
    if let Some((made, text)) = &agent.page
        && now.duration_since(*made) < FRESH
    {
        return text.clone();
    }
    let text = make(agent);
    agent.page = Some((now, text.clone()));
    text
}

fn make(agent: &Agent) -> String {
    let mut out = Exposition::default();
    let member = &agent.member;
    let (node, stats) = (member.node(), member.node().stats());
    out.gauge(
        "butterfly_build_info",
        "Always 1; its label is the version of the program.",
    )
    .of("version", env!("CARGO_PKG_VERSION"), 1)
    .end();
    membership(&mut out, node, stats);
    messages(&mut out, stats, member.local_addr());
    probes(&mut out, stats);
    gossip(&mut out, member);
    own_loop(&mut out, agent, stats);
    process::write(&mut out, agent.uptime());
    out.into_text()
}

fn membership(out: &mut Exposition, node: &Node, stats: &Stats) {
    let counts = node.counts();
    out.gauge(
        "butterfly_members",
        "Members that this one knows, itself included, by their health as it sees it.",
    )
    .of("health", Health::Alive.as_str(), counts.alive)
    .of("health", Health::Suspect.as_str(), counts.suspect)
    .of("health", Health::Confirmed.as_str(), counts.confirmed)
    .of("health", Health::Departed.as_str(), counts.departed)
    .end();
    out.gauge(
        "butterfly_local_health",
        "How far this member doubts itself: 0 is best, 8 worst.",
    )
    .is(node.local_health());
    out.gauge(
        "butterfly_isolated",
        "1 while this member hears no other, though it knows some: what it says of them is old.",
    )
    .is(u8::from(node.isolated_for().is_some()));
    let mut transitions = out.counter(
        "butterfly_transitions_total",
        "Changes of members' health as this member sees it; from unknown: it learned of them.",
    );
    let before = || [None].into_iter().chain(Health::ALL.map(Some));
    for (from, to) in before().flat_map(|from| Health::ALL.map(|to| (from, to))) {
        if from != Some(to) {
            let name = from.map_or("unknown", Health::as_str);
            let labels = [("from", name), ("to", to.as_str())];
            transitions = transitions.of_two(labels, stats.transitions(from, to));
        }
    }
    transitions.end();
    out.histogram(
        "butterfly_detection_seconds",
        "For how long members were suspect, as this member sees it, that then became confirmed.",
        &stats.detection,
    );
    out.counter(
        "butterfly_refutations_total",
        "How often this member refuted something untrue that was said of it.",
    )
    .is(stats.refutations);
}

fn messages(out: &mut Exposition, stats: &Stats, listening: SocketAddr) {
    let mut messages = out.counter(
        "butterfly_swim_messages_total",
        "SWIM messages that this member received and understood, or sent.",
    );
    for kind in MessageKind::ALL {
        let labels = |direction| [("direction", direction), ("type", kind.as_str())];
        messages = messages
            .of_two(labels("received"), stats.received(kind))
            .of_two(labels("sent"), stats.sent(kind));
    }
    messages.end();
    out.counter(
        "butterfly_swim_bytes_total",
        "Bytes of all SWIM datagrams, those that were dropped included.",
    )
    .of("direction", "received", stats.bytes_received)
    .of("direction", "sent", stats.bytes_sent)
    .end();
    out.counter(
        "butterfly_datagrams_lost_total",
        "Datagrams that this member dropped before they were sent, as too many waited.",
    )
    .is(stats.datagrams_lost);
    if let Some(drops) = socket_drops::of(listening) {
        out.counter(
            "butterfly_socket_drops_total",
            "Datagrams that the system dropped before this member read them, as its socket was full.",
        )
        .is(drops);
    }
    out.counter(
        "butterfly_id_conflicts_total",
        "Times that two processes with one id were seen.",
    )
    .is(stats.id_conflicts);
    let mut rejected = out.counter(
        "butterfly_rejected_total",
        "Datagrams, memberships in them, and rumors that this member dropped, by reason.",
    );
    for reason in Reject::ALL {
        rejected = rejected.of("reason", reason.name(), stats.rejected(*reason));
    }
    rejected.end();
    out.counter(
        "butterfly_send_errors_total",
        "Datagrams that the system would not send, or that came back.",
    )
    .is(stats.send_errors);
}

fn probes(out: &mut Exposition, stats: &Stats) {
    out.counter(
        "butterfly_probes_total",
        "Probes that ended: answered at once, answered after others were asked for help, or failed.",
    )
    .of("result", "answered", stats.probes_answered)
    .of("result", "answered_late", stats.probes_answered_late)
    .of("result", "failed", stats.probes_failed)
    .end();
    out.counter(
        "butterfly_refusals_total",
        "Times that a pinged member's system said that nobody listens there, and whether that counted.",
    )
    .of("result", "counted", stats.refusals - stats.refusals_ignored)
    .of("result", "ignored", stats.refusals_ignored)
    .end();
    out.counter(
        "butterfly_hints_total",
        "Hints that a member ended, as a connection with it did.",
    )
    .is(stats.hints);
    out.histogram(
        "butterfly_probe_rtt_seconds",
        "Round trips of probes that were answered directly.",
        &stats.probe_rtt,
    );
}

fn user_events(out: &mut Exposition, stats: &Stats) {
    out.counter(
        "butterfly_user_events_total",
        "User events, by what became of them here: sent by this member; delivered, its own too; skipped, as they did not come \
         in time; dropped, as there were too many; coalesced into a later one.",
    )
    .of("result", "sent", stats.user_events_sent)
    .of("result", "delivered", stats.user_events)
    .of("result", "skipped", stats.user_events_skipped)
    .of("result", "dropped", stats.user_events_dropped)
    .of("result", "coalesced", stats.user_events_coalesced)
    .end();
}

fn gossip(out: &mut Exposition, member: &Butterfly) {
    let node = member.node();
    let mut rumors = out.gauge(
        "butterfly_rumors",
        "Rumors that this member holds, by kind.",
    );
    for (kind, count) in node.rumor_counts() {
        rumors = rumors.of("kind", kind.as_str(), count);
    }
    rumors.end();
    out.gauge(
        "butterfly_rumors_hot",
        "Rumors that this member is still telling others.",
    )
    .is(node.hot_rumors());
    out.gauge(
        "butterfly_rumor_bytes",
        "Bytes of all rumors that this member holds.",
    )
    .is(node.rumor_bytes());
    out.gauge(
        "butterfly_rumor_limit_bytes",
        "Bytes of rumors that this member may hold (--store-limit).",
    )
    .is(node.rumor_limit());
    out.counter(
        "butterfly_rumors_not_taken_total",
        "Rumors that no peer's connection took: TCP to it does not work, or it is slow.",
    )
    .is(node.stats().rumors_not_taken);
    user_events(out, node.stats());
    let Some(stats) = member.gossip_stats() else {
        return;
    };
    let counted = |name| {
        stats
            .iter()
            .find(|(of, _)| *of == name)
            .map_or(0, |(_, count)| count)
    };
    let held = |name| {
        stats
            .gauges()
            .find(|gauge| gauge.name == name)
            .map_or(0, |gauge| gauge.now)
    };
    out.counter(
        "butterfly_gossip_bytes_total",
        "Bytes of all rumors that came, or that a peer's connection took.",
    )
    .of("direction", "received", counted("frame_bytes_received"))
    .of("direction", "sent", counted("frame_bytes_sent"))
    .end();
    out.gauge(
        "butterfly_gossip_connections",
        "Open connections for rumors, by who opened them.",
    )
    .of("direction", "incoming", held("connections"))
    .of("direction", "outgoing", held("push_sockets"))
    .end();
    out.gauge(
        "butterfly_gossip_peers_unreached",
        "Living peers with whom no connection for rumors has come about for half a minute.",
    )
    .is(held("peers_unreached"));
}

fn own_loop(out: &mut Exposition, agent: &Agent, stats: &Stats) {
    out.histogram(
        "butterfly_loop_lag_seconds",
        "How late this member's own loop served its timers, of those that were not on time.",
        &stats.loop_lag,
    );
    if let Some(writes) = agent.member.disk_writes() {
        out.counter(
            "butterfly_disk_writes_total",
            "Files that were replaced in the data directory, or could not be.",
        )
        .of("result", "done", writes.done)
        .of("result", "failed", writes.failed)
        .end();
    }
    out.gauge(
        "butterfly_event_streams",
        "Clients that follow this member's events.",
    )
    .is(agent.feed.readers());
    out.counter(
        "butterfly_event_streams_cut_total",
        "Clients that followed this member's events and were cut off, as they took none.",
    )
    .is(agent.feed.cut());
    let runs = agent.handlers.counts();
    out.counter(
        "butterfly_handler_runs_total",
        "Commands of --on that ran, by what became of them; dropped: events without a run, as too many waited.",
    )
    .of("result", "done", runs.done)
    .of("result", "failed", runs.failed)
    .of("result", "killed", runs.killed)
    .of("result", "dropped", runs.dropped)
    .end();
    out.counter(
        "butterfly_log_lines_lost_total",
        "Lines of the log that nobody read in time.",
    )
    .is(agent.log_lines_lost());
}
