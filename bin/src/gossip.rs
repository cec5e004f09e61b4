//! The commands about rumors, which ask a running member through its gateway.

use std::collections::HashMap;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use butterfly::text::visible;
use butterfly::{MemberId, RumorKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body;
use crate::cli::{
    ConfigApplyArgs, ConfigCommand, ConfigRemoveArgs, ConfigShowArgs, DepartArgs, ElectionCommand,
    ElectionShowArgs, ElectionStartArgs, FileCommand, FileGetArgs, FileRemoveArgs, FileUploadArgs,
    ForgetArgs, Format, ListFormat, RumorsArgs, ServiceAddArgs, ServiceCommand, ServiceListArgs,
    ServiceRemoveArgs,
};
use crate::client::Client;
use crate::commands::{find, names, print_list};
use crate::failure::Failure;
use crate::output;
use crate::rumor_row::{ElectionRow, RumorRow, Says};
use crate::rumor_table;
use crate::table;
use crate::view::{MemberRow, Status};

pub fn service(command: &ServiceCommand) -> Result<(), Failure> {
    match command {
        ServiceCommand::Add(args) => add_service(args),
        ServiceCommand::Remove(args) => remove_service(args),
        ServiceCommand::List(args) => list_services(args),
    }
}

fn add_service(args: &ServiceAddArgs) -> Result<(), Failure> {
    let cfg = args.cfg.as_deref().map(body::read).transpose()?;
    let client = Client::new(&args.gateway)?;
    let path = path(
        "/v1/service",
        &[
            ("group", args.group.as_str()),
            ("pkg", &args.pkg),
            ("initialized", &args.initialized.to_string()),
        ],
    );
    let answer = client.upload(&path, &cfg.unwrap_or_default())?;
    output::tell(&format!(
        "{} announced a service of {}, incarnation {}",
        asked(&client),
        args.group,
        answer.get("incarnation").unwrap_or(&Value::Null)
    ));
    Ok(())
}

fn remove_service(args: &ServiceRemoveArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    client.post(
        "/v1/service/remove",
        &json!({ "group": args.group.as_str() }),
    )?;
    output::tell(&format!(
        "{} withdrew its service of {}",
        asked(&client),
        args.group
    ));
    Ok(())
}

/// The member that a command was given to, by its name if it has one.
fn asked(client: &Client) -> String {
    match client.get::<Status>("/v1/status") {
        Ok(status) if !status.name.is_empty() => visible(&status.name).to_string(),
        _ => client.gateway().to_string(),
    }
}

fn list_services(args: &ServiceListArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let group = args.group.as_ref().map(|group| group.as_str());
    let values: Vec<Value> = client.get(&rumors_path(Some("service"), group))?;
    let members: Vec<MemberRow> = client.get("/v1/members")?;
    if let Some(text) = args.which.unknown(&members) {
        return Err(Failure::failed(format_args!(
            "no member has the name or the beginning of an id {text:?}: \"butterfly members\" lists them"
        )));
    }
    let by_id: HashMap<&str, &MemberRow> = members.iter().map(|row| (&*row.id, row)).collect();
    let mut services = Vec::new();
    for value in values {
        let row = RumorRow::deserialize(&value).map_err(Failure::failed)?;
        let Says::Service(service) = row.says.clone() else {
            continue;
        };
        let member = by_id.get(&*service.member).copied();
        let fits = member.map_or(args.fit_unknown(), |member| args.fit(member));
        if !service.withdrawn && fits {
            services.push((value, row, service, member));
        }
    }
    let format = args.output.format();
    if let ListFormat::Table | ListFormat::Wide = format {
        let rows = services
            .iter()
            .map(|(_, row, service, member)| (row, service, *member));
        return output::print(&rumor_table::services(rows, format));
    }
    let rows = services.iter().map(|(value, _, service, member)| {
        let name = member.map_or("", |member| &*member.name);
        // What a program would have to look up otherwise.
        let mut value = value.clone();
        if let (Some(fields), Some(member)) = (value.as_object_mut(), member) {
            fields.insert("name".into(), json!(member.name));
            fields.insert("address".into(), json!(member.address));
            fields.insert("health".into(), json!(member.health));
        }
        (value, name, &*service.member)
    });
    print_list(format, rows)
}

pub fn config(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Apply(args) => apply_config(args),
        ConfigCommand::Show(args) => show_config(args),
        ConfigCommand::Remove(args) => remove_config(args),
    }
}

fn apply_config(args: &ConfigApplyArgs) -> Result<(), Failure> {
    let text = body::read(&args.file)?;
    if text.is_empty() {
        let path = args.file.display();
        return Err(Failure::failed(format_args!(
            "{path} is empty, and an empty configuration is none: \"butterfly config remove {}\" removes the one there is",
            args.group
        )));
    }
    let client = Client::new(&args.gateway)?;
    let path = path(
        "/v1/config",
        &[
            ("group", args.group.as_str()),
            ("incarnation", &args.version.to_string()),
            ("force", &args.force.to_string()),
        ],
    );
    let answer = client.upload(&path, &text)?;
    output::tell(&format!(
        "{} tells the ring: configuration of {}, incarnation {}",
        client.gateway(),
        args.group,
        answer.get("incarnation").unwrap_or(&Value::Null)
    ));
    Ok(())
}

fn remove_config(args: &ConfigRemoveArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let asked = json!({ "group": args.group.as_str() });
    let answer = client.post("/v1/config/remove", &asked)?;
    output::tell(&format!(
        "{} tells the ring: configuration of {} removed, incarnation {}",
        client.gateway(),
        args.group,
        answer.get("incarnation").unwrap_or(&Value::Null)
    ));
    Ok(())
}

fn show_config(args: &ConfigShowArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let group = args.group.as_str();
    // This one first: it says so if there is none.
    let text = client.get_bytes(&path("/v1/config", &[("group", group)]))?;
    match args.output.format() {
        Format::Table => output::print_body(&text),
        Format::Json => {
            let rows: Vec<RumorRow> =
                client.get(&rumors_path(Some("service_config"), Some(group)))?;
            print_json(&rows)
        }
    }
}

pub fn file(command: &FileCommand) -> Result<(), Failure> {
    match command {
        FileCommand::Upload(args) => upload_file(args),
        FileCommand::Get(args) => get_file(args),
        FileCommand::Remove(args) => remove_file(args),
    }
}

fn upload_file(args: &FileUploadArgs) -> Result<(), Failure> {
    let name = body::name(&args.file, args.name.as_deref())?;
    let bytes = body::read(&args.file)?;
    if bytes.is_empty() {
        let path = args.file.display();
        return Err(Failure::failed(format_args!(
            "{path} is empty, and an empty file is none: \"butterfly file remove {} {}\" removes the one there is",
            args.group, name
        )));
    }
    let client = Client::new(&args.gateway)?;
    let path = path(
        "/v1/file",
        &[
            ("group", args.group.as_str()),
            ("name", &name),
            ("incarnation", &args.version.to_string()),
            ("force", &args.force.to_string()),
        ],
    );
    let answer = client.upload(&path, &bytes)?;
    output::tell(&format!(
        "{} tells the ring: file {} of {}, {}, incarnation {}",
        client.gateway(),
        name,
        args.group,
        output::count(bytes.len(), "byte"),
        answer.get("incarnation").unwrap_or(&Value::Null)
    ));
    Ok(())
}

fn remove_file(args: &FileRemoveArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let asked = json!({ "group": args.group.as_str(), "name": args.name });
    let answer = client.post("/v1/file/remove", &asked)?;
    output::tell(&format!(
        "{} tells the ring: file {} of {} removed, incarnation {}",
        client.gateway(),
        args.name,
        args.group,
        answer.get("incarnation").unwrap_or(&Value::Null)
    ));
    Ok(())
}

fn get_file(args: &FileGetArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let of = [("group", args.group.as_str()), ("name", &args.name)];
    let bytes = client.get_bytes(&path("/v1/file", &of))?;
    match &args.out {
        None if io::stdout().is_terminal() && is_binary(&bytes) => {
            Err(Failure::failed(format_args!(
                "{} is no text ({}), and this is a terminal: --to FILE writes it to a file",
                args.name,
                output::count(bytes.len(), "byte")
            )))
        }
        None => output::print_body(&bytes),
        Some(path) => write(path, &bytes),
    }
}

/// Whether people would see nothing of it.
fn is_binary(bytes: &[u8]) -> bool {
    bytes.contains(&0) || std::str::from_utf8(bytes).is_err()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes)
        .map_err(|error| Failure::failed(format_args!("cannot write {}: {error}", path.display())))
}

pub fn election(command: &ElectionCommand) -> Result<(), Failure> {
    match command {
        ElectionCommand::Start(args) => start_election(args),
        ElectionCommand::Show(args) => show_elections(args),
    }
}

fn start_election(args: &ElectionStartArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let kind = if args.update {
        RumorKind::ElectionUpdate
    } else {
        RumorKind::Election
    };
    let asked = json!({
        "kind": kind.as_str(),
        "group": args.group.as_str(),
        "suitability": args.suitability,
    });
    let election: ElectionRow =
        serde_json::from_value(client.post("/v1/election", &asked)?).map_err(Failure::failed)?;
    output::tell(&rumor_table::standing(kind, &election, &names(&client)?));
    Ok(())
}

fn show_elections(args: &ElectionShowArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let group = args.group.as_ref().map(|group| group.as_str());
    let mut rows: Vec<RumorRow> = client.get(&rumors_path(Some("election"), group))?;
    rows.extend(client.get::<Vec<_>>(&rumors_path(Some("election_update"), group))?);
    if let (Some(group), true) = (group, rows.is_empty()) {
        return Err(Failure::failed(format_args!(
            "{} has heard of no election of {group}",
            client.gateway()
        )));
    }
    match args.output.format() {
        Format::Json => print_json(&rows),
        Format::Table => output::print(&rumor_table::elections(&rows, &names(&client)?)),
    }
}

/// Digits of an id that name a member for good.
const LEAST_OF_AN_ID: usize = 8;

pub fn depart(args: &DepartArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let id = find(&client, &args.id)?;
    // It cannot be undone, so a slip of the finger must not do.
    if args.id.len() < LEAST_OF_AN_ID && id.to_string().starts_with(&args.id) {
        return Err(Failure::failed(format_args!(
            "{:?} is too little to say who departs for good: give {LEAST_OF_AN_ID} digits of the id {id}, or the name",
            args.id
        )));
    }
    if !args.yes {
        ask_to_depart(&args.id, id)?;
    }
    let asked = json!({ "id": id.to_string(), "unknown": args.unknown });
    client.post("/v1/depart", &asked)?;
    output::tell(&format!(
        "{} tells the ring that {id} departed for good",
        client.gateway()
    ));
    Ok(())
}

/// That cannot be undone, so whoever asks for it has to mean it.
fn ask_to_depart(what: &str, id: MemberId) -> Result<(), Failure> {
    let effect = format!("{what} ({id:.8}) is to stop, and no ring takes its id again, ever");
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format_args!(
            "{effect}: --yes says that this is meant; \"butterfly forget\" drops dead members and is no ban"
        )));
    }
    output::tell(&format!(
        "{effect}; \"butterfly forget\" drops dead members and is no ban. Go on? [y/N]"
    ));
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Failure::failed)?;
    match line.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was done")),
    }
}

/// Members that the gateway names.
#[derive(Deserialize)]
struct Forgotten {
    forgotten: Vec<Whom>,
}

#[derive(Deserialize)]
struct Whom {
    id: String,
    name: String,
}

pub fn forget(args: &ForgetArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let asked = if args.dead {
        let older_than = args.older_than.unwrap_or_default().as_millis() as u64;
        json!({ "dead": true, "older_than_ms": older_than })
    } else {
        let known: Vec<MemberRow> = client.get("/v1/members")?;
        let mut ids = Vec::new();
        for text in &args.members {
            ids.extend(dead_of(&known, text)?);
        }
        json!({ "members": ids })
    };
    let answer = client.post("/v1/forget", &asked)?;
    let Forgotten { forgotten } = serde_json::from_value(answer).map_err(Failure::failed)?;
    for Whom { id, name } in &forgotten {
        output::print_line(&table::who(id, &[(id.clone(), name.clone())].into()))?;
    }
    let count = output::count(forgotten.len(), "dead member");
    output::tell(&format!("{} has the ring forget {count}", client.gateway()));
    Ok(())
}

/// The ids of the dead members that a text means: one by its id or the beginning of it, all by a name.
fn dead_of(known: &[MemberRow], text: &str) -> Result<Vec<String>, Failure> {
    let named: Vec<_> = known
        .iter()
        .filter(|row| !text.is_empty() && row.name == text)
        .collect();
    let found = match named.is_empty() {
        true => known
            .iter()
            .filter(|row| !text.is_empty() && row.id.starts_with(text))
            .collect(),
        false => named,
    };
    let is_dead = |row: &&&MemberRow| matches!(row.health.as_str(), "confirmed" | "departed");
    let dead: Vec<_> = found
        .iter()
        .filter(is_dead)
        .map(|row| row.id.clone())
        .collect();
    match (found.as_slice(), dead.as_slice()) {
        ([], _) => Err(Failure::failed(format_args!(
            "no member has the name or the beginning of an id {text:?}: \"butterfly members\" lists them"
        ))),
        ([living, ..], []) => Err(Failure::failed(format_args!(
            "{text:?} is {}, and only the dead are forgotten: let it leave, or stop it",
            living.health
        ))),
        _ => Ok(dead),
    }
}

pub fn rumors(args: &RumorsArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    let kind = args.kind.map(|kind| kind.as_str());
    let path = rumors_path(kind, args.group.as_ref().map(|group| group.as_str()));
    match args.output.format() {
        Format::Json => output::print(&client.get_text(&path)?),
        Format::Table => {
            let rows: Vec<RumorRow> = client.get(&path)?;
            output::print(&rumor_table::rumors(&rows, &names(&client)?))
        }
    }
}

/// Where the gateway has these rumors.
fn rumors_path(kind: Option<&str>, group: Option<&str>) -> String {
    let kind = kind.map(|kind| ("kind", kind));
    let group = group.map(|group| ("group", group));
    let params: Vec<_> = kind.into_iter().chain(group).collect();
    path("/v1/rumors", &params)
}

/// A path with a query.
pub fn path(path: &str, params: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(params);
    format!("{path}?{}", query.finish())
}

/// A row a line, as the gateway writes them.
fn print_json(rows: &[RumorRow]) -> Result<(), Failure> {
    let rows: Result<Vec<_>, _> = rows.iter().map(serde_json::to_string).collect();
    let rows = rows.map_err(Failure::failed)?;
    output::print_line(&format!("[\n{}\n]", rows.join(",\n")))
}
