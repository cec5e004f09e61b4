//! The commands about user events, which ask a running member through its gateway.

use std::path::Path;

use serde_json::Value;

use crate::body;
use crate::cli::{EventCommand, EventSendArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::gossip::path;
use crate::output;

pub fn event(command: &EventCommand) -> Result<(), Failure> {
    match command {
        EventCommand::Send(args) => send(args),
    }
}

fn send(args: &EventSendArgs) -> Result<(), Failure> {
    let payload = match args.payload.as_deref() {
        Some("-") => body::read(Path::new("-"))?,
        payload => payload.unwrap_or_default().as_bytes().to_vec(),
    };
    let client = Client::new(&args.gateway)?;
    let path = path(
        "/v1/event",
        &[
            ("name", &args.name),
            ("ttl", &format!("{}ms", args.ttl.as_millis())),
            ("coalesce", &args.coalesce.to_string()),
        ],
    );
    let answer = client.upload(&path, &payload)?;
    let lamport = answer.get("lamport").unwrap_or(&Value::Null);
    output::tell(&format!(
        "{} sent the event {}, Lamport time {lamport}",
        client.gateway(),
        args.name
    ));
    Ok(())
}
