//! `butterfly ping`: SWIM pings to a member, by one who is none.

use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use butterfly::{Incarnation, MemberId, Pinger, Pong, RingKey};
use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::address;
use crate::cli::{Format, PingArgs};
use crate::failure::Failure;
use crate::output::{self, who};
use crate::ring_key;

/// The longest round trip that is told apart from longer ones, nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;

pub fn ping(args: &PingArgs) -> Result<(), Failure> {
    let addrs = address::resolve(&args.to)?;
    let keys = ring_key::read_all(&args.ring_key)?;
    let (to, sealed) = (who_answers(&addrs, &keys, args.timeout), !keys.is_empty());
    let mut pinger = Pinger::connect(to, keys).map_err(|error| cannot_ping(to, &error))?;
    let mut pause = Pause::new().map_err(|error| cannot_ping(to, &error))?;
    let mut tally = Tally::new(to, args.output.format(), sealed)?;
    loop {
        let began = Instant::now();
        let outcome = pinger.ping(args.timeout).map(|pong| pong.map(Reply::from));
        tally.take(outcome, args.timeout)?;
        if args.count.is_some_and(|count| tally.sent >= count)
            || !pause.until(began + args.interval)
        {
            break;
        }
    }
    tally.finish()
}

/// Of the addresses of a name the first that answers a ping, or else the first.
fn who_answers(addrs: &[SocketAddr], keys: &[RingKey], timeout: Duration) -> SocketAddr {
    let answers = |to: &&SocketAddr| {
        let pinger = Pinger::connect(**to, keys.to_vec());
        matches!(
            pinger.and_then(|mut pinger| pinger.ping(timeout)),
            Ok(Some(_))
        )
    };
    match addrs {
        [only] => *only,
        several => *several.iter().find(answers).unwrap_or(&several[0]),
    }
}

fn cannot_ping(to: SocketAddr, error: &io::Error) -> Failure {
    Failure::failed(format_args!("cannot ping {to}: {error}"))
}

/// The pause between two pings, which SIGINT and SIGTERM cut short.
struct Pause {
    poll: Poll,
    signals: Signals,
}

impl Pause {
    fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        poll.registry()
            .register(&mut signals, Token(0), Interest::READABLE)?;
        Ok(Pause { poll, signals })
    }

    /// Sleeps until then; `false`: it is time to end.
    fn until(&mut self, at: Instant) -> bool {
        let mut events = Events::with_capacity(4);
        loop {
            let left = at.saturating_duration_since(Instant::now());
            // An interrupted poll is one that a signal interrupted.
            let _ = self.poll.poll(&mut events, Some(left));
            if self.signals.pending().next().is_some() {
                return false;
            }
            if Instant::now() >= at {
                return true;
            }
        }
    }
}

/// An answer to a ping.
struct Reply {
    rtt: Duration,
    id: MemberId,
    name: String,
    incarnation: Incarnation,
}

impl From<Pong> for Reply {
    fn from(pong: Pong) -> Self {
        Reply {
            rtt: pong.rtt,
            id: pong.id,
            name: pong.name,
            incarnation: pong.incarnation,
        }
    }
}

/// What came of the pings so far.
struct Tally {
    to: SocketAddr,
    format: Format,
    sent: u32,
    /// How many were refused, because nobody listens there.
    refused: u32,
    /// A ring key was given.
    sealed: bool,
    times: Histogram<u64>,
    /// For JSON: each answer, or null.
    answers: Vec<Value>,
}

impl Tally {
    fn new(to: SocketAddr, format: Format, sealed: bool) -> Result<Self, Failure> {
        let times = Histogram::new_with_bounds(1, LONGEST, 3).map_err(Failure::failed)?;
        Ok(Tally {
            to,
            format,
            sent: 0,
            refused: 0,
            sealed,
            times,
            answers: Vec::new(),
        })
    }

    fn take(
        &mut self,
        outcome: io::Result<Option<Reply>>,
        timeout: Duration,
    ) -> Result<(), Failure> {
        self.sent += 1;
        let seq = self.sent;
        let refused = |error: &io::Error| error.kind() == ErrorKind::ConnectionRefused;
        self.refused += u32::from(outcome.as_ref().is_err_and(refused));
        let (line, answer) = match outcome {
            Ok(Some(reply)) => {
                self.times.saturating_record(reply.rtt.as_nanos() as u64);
                (self.answer_line(&reply), answer_json(seq, &reply))
            }
            Ok(None) => (
                format!("seq={seq}: no answer within {}", output::span(timeout)),
                Value::Null,
            ),
            Err(error) if refused(&error) => (
                format!("seq={seq}: nobody listens at {}", self.to),
                Value::Null,
            ),
            // By a signal, which the pause will find.
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                (format!("seq={seq}: given up"), Value::Null)
            }
            Err(error) => return Err(cannot_ping(self.to, &error)),
        };
        match self.format {
            Format::Table => output::print_line(&line),
            Format::Json => {
                self.answers.push(answer);
                Ok(())
            }
        }
    }

    fn answer_line(&self, reply: &Reply) -> String {
        let (seq, time) = (self.sent, millis(reply.rtt.as_nanos() as u64));
        let (who, incarnation) = (who(&reply.name, reply.id), reply.incarnation);
        format!(
            "answer from {who} {}: seq={seq} incarnation={incarnation} time={time} ms",
            self.to
        )
    }

    /// The summary; no answer at all is a failure.
    fn finish(self) -> Result<(), Failure> {
        match self.format {
            Format::Table => output::print(&self.summary())?,
            Format::Json => output::print_line(&self.summary_json().to_string())?,
        }
        if self.times.is_empty() {
            return Err(Failure::failed(format_args!(
                "{} answered none of {}: {}",
                self.to,
                output::count(self.sent as usize, "ping"),
                self.why_none()
            )));
        }
        Ok(())
    }

    /// What is to be done if nobody answers.
    fn why_none(&self) -> &'static str {
        if self.refused > 0 {
            "nobody listens there, is it the --listen address of a running member?"
        } else {
            match self.sealed {
                false => "is a member there, and has its ring a key (--ring-key FILE)?",
                true => "is a member there, and does it have this key?",
            }
        }
    }

    fn lost(&self) -> u64 {
        u64::from(self.sent).saturating_sub(self.times.len())
    }

    fn summary(&self) -> String {
        let (received, lost) = (self.times.len(), self.lost());
        let percent = 100.0 * lost as f64 / f64::from(self.sent.max(1));
        let mut text = format!(
            "\n{} to {}, {received} answered, {lost} lost ({percent:.0}%)\n",
            output::count(self.sent as usize, "ping"),
            self.to
        );
        if received > 0 {
            let _ = writeln!(
                text,
                "round trip min/p50/p99/max = {}/{}/{}/{} ms",
                millis(self.times.min()),
                millis(self.times.value_at_quantile(0.50)),
                millis(self.times.value_at_quantile(0.99)),
                millis(self.times.max()),
            );
        }
        text
    }

    fn summary_json(&self) -> Value {
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let times = (!self.times.is_empty()).then(|| {
            json!({
                "min": micros(self.times.min()),
                "p50": micros(self.times.value_at_quantile(0.50)),
                "p99": micros(self.times.value_at_quantile(0.99)),
                "max": micros(self.times.max()),
            })
        });
        json!({
            "to": self.to.to_string(),
            "sent": self.sent,
            "received": self.times.len(),
            "lost": self.lost(),
            "rtt_us": times,
            "answers": self.answers,
        })
    }
}

fn answer_json(seq: u32, reply: &Reply) -> Value {
    json!({
        "seq": seq,
        "id": reply.id.to_string(),
        "name": reply.name,
        "incarnation": reply.incarnation.get(),
        "rtt_us": reply.rtt.as_nanos() as f64 / 1e3,
    })
}

fn millis(nanos: u64) -> String {
    format!("{:.3}", nanos as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(micros: u64) -> Reply {
        Reply {
            rtt: Duration::from_micros(micros),
            id: MemberId::from_bytes([0x1a; 16]),
            name: "web".into(),
            incarnation: Incarnation::ZERO,
        }
    }

    #[test]
    fn the_summary_counts_and_measures() {
        let to = "127.0.0.1:9638".parse().unwrap();
        let mut tally = Tally::new(to, Format::Json, false).unwrap();
        for micros in [100, 200, 400] {
            tally
                .take(Ok(Some(reply(micros))), Duration::from_secs(1))
                .unwrap();
        }
        tally.take(Ok(None), Duration::from_secs(1)).unwrap();
        let text = tally.summary();
        assert!(
            text.contains("4 pings to 127.0.0.1:9638, 3 answered, 1 lost (25%)"),
            "{text}"
        );
        assert!(
            text.contains("min/p50/p99/max = 0.100/0.200/0.400/0.400 ms"),
            "{text}"
        );
        let json = tally.summary_json();
        assert_eq!(
            (json["sent"].as_u64(), json["lost"].as_u64()),
            (Some(4), Some(1))
        );
        assert_eq!(json["answers"][3], Value::Null);
    }

    #[test]
    fn no_answer_at_all_is_a_failure() {
        let mut tally = Tally::new("127.0.0.1:9".parse().unwrap(), Format::Json, false).unwrap();
        tally
            .take(
                Err(ErrorKind::ConnectionRefused.into()),
                Duration::from_secs(1),
            )
            .unwrap();
        assert_eq!(tally.summary_json()["rtt_us"], Value::Null);
        let text = tally.finish().unwrap_err().to_string();
        assert!(text.contains("none of 1 ping: nobody listens"), "{text}");
        assert!(!text.contains("--ring-key"), "{text}");
    }
}
