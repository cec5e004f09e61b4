//! Lines of trace files.

use std::time::Duration;

use butterfly::node::NodeConfig;
use butterfly::trace::{Trace, TraceWriter};
use butterfly::{Node, Time};

use crate::input::Input;
use crate::said::{ME, addr, id};

/// A note of any text, in a line of a member and a thread of any name.
pub fn trace(data: &[u8]) {
    let mut input = Input::new(data);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (thread, server) = (text(input.bytes()), text(input.bytes()));
    let mut node = Node::new(NodeConfig::new(id(ME), 1, [7; 32]), Time::ZERO);
    node.set_tracing(true);
    while !input.is_empty() {
        node.note(&text(input.bytes()));
    }
    while let Some(trace) = node.poll_trace() {
        check(&trace, &thread, &server);
    }
}

/// What happened at a member is one line of twelve fields.
pub fn check_trace(trace: &Trace) {
    check(trace, "main", "amber");
}

fn check(trace: &Trace, thread: &str, server: &str) {
    let writer = TraceWriter {
        thread,
        server,
        id: id(ME),
        listening: addr(ME),
    };
    let mut line = String::new();
    trace.write_line(&mut line, Duration::from_secs(1), &writer);
    let Some(line) = line.strip_suffix('\n') else {
        panic!("no line: {line:?}");
    };
    assert_eq!(line.split('^').count(), 12, "{line:?}");
    assert!(!line.contains(butterfly::text::is_hidden), "{line:?}");
    assert!(line.starts_with("1.000000000^"), "{line:?}");
}
