//! `GET /v1/openapi.json`: what can be asked and what is answered, for programs, and the page of the documentation that says the
//! same to people. Both are made from the routes and the types of their answers.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::answer::Answer;
use super::http::Request;
use super::params::Params;
use crate::agent::Agent;

/// Written by the test below.
const OPENAPI: &str = include_str!("openapi.json");

/// The handler.
pub fn openapi(_: &mut Agent, _: &Request, _: &Params) -> Result<Answer, Answer> {
    Ok(Answer::text("application/json", OPENAPI))
}

/// The same in Markdown.
pub fn page() -> String {
    let api: Value = serde_json::from_str(OPENAPI).unwrap_or_default();
    let mut text = String::new();
    // Writing to a String cannot fail.
    for (path, methods) in entries(&api["paths"]) {
        for (method, route) in entries(methods) {
            let _ = write!(text, "### {} {path}\n\n", method.to_uppercase());
            let _ = write!(
                text,
                "{}\n\n",
                route["summary"].as_str().unwrap_or_default()
            );
            let body = entries(&route["requestBody"]["content"]).next();
            if let Some((kind, content)) = body {
                let _ = write!(text, "Body: {}\n\n", shown(kind, &content["schema"]));
            }
            let answer = entries(&route["responses"]["200"]["content"]).next();
            if let Some((kind, content)) = answer {
                let _ = write!(text, "Answer: {}\n\n", shown(kind, &content["schema"]));
            }
        }
    }
    text += "## Types\n\n";
    for (name, schema) in entries(&api["components"]["schemas"]) {
        let _ = write!(text, "### {name}\n\n{}\n", about(schema));
        fields(&mut text, schema);
        let others = ["allOf", "anyOf", "oneOf"]
            .iter()
            .flat_map(|word| list(&schema[*word]));
        let others: Vec<_> = others.filter(|other| !is_unknown(other)).collect();
        if !others.is_empty() {
            let _ = write!(text, "\nwith the fields of one of these:\n\n");
        }
        for other in others {
            let _ = writeln!(text, "* {}", variant(other));
        }
        text.push('\n');
    }
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    text
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn about(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    match text {
        "" => String::new(),
        text => format!("{}\n", text.replace('\n', " ")),
    }
}

/// It stands for what other versions may say.
fn is_unknown(schema: &Value) -> bool {
    schema["properties"]["kind"]["enum"][0] == "other"
}

/// One of several forms, in a line.
fn variant(schema: &Value) -> String {
    let words: Vec<_> = list(&schema["enum"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if !words.is_empty() {
        let about = schema["description"].as_str().unwrap_or_default();
        return format!("`{}`: {}", words.join("`, `"), about.replace('\n', " "));
    }
    let fields =
        entries(&schema["properties"]).map(|(name, field)| format!("`{name}` {}", type_of(field)));
    let mut all: Vec<_> = fields.collect();
    all.extend(
        list(&schema["allOf"])
            .iter()
            .map(|other| format!("those of {}", type_of(other))),
    );
    match all.is_empty() {
        true => type_of(schema),
        false => all.join(", "),
    }
}

/// A table of the fields of an object, or what else it is.
fn fields(text: &mut String, schema: &Value) {
    let required: Vec<&str> = list(&schema["required"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let all: BTreeMap<_, _> = entries(&schema["properties"]).collect();
    if all.is_empty() {
        let words = list(&schema["enum"]).iter().filter_map(Value::as_str);
        for word in words {
            let _ = writeln!(
                text,
                "* `{word}`: {}",
                schema["description"].as_str().unwrap_or_default()
            );
        }
        return;
    }
    *text += "\n| field | type | meaning |\n|---|---|---|\n";
    for (name, field) in all {
        let absent = if required.contains(&name.as_str()) {
            ""
        } else {
            ", may be absent"
        };
        let meaning = about(field).trim().replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{name}` | {}{absent} | {meaning} |",
            type_of(field)
        );
    }
}

/// The kind of a body, and its type.
fn shown(kind: &str, schema: &Value) -> String {
    match schema.as_object().is_some_and(|schema| !schema.is_empty()) {
        true if kind == "application/json" => type_of(schema),
        true => format!("`{kind}`, each with {}", type_of(schema)),
        false => format!("`{kind}`"),
    }
}

fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    let nullable = if schema["nullable"] == true {
        " or null"
    } else {
        ""
    };
    let others = ["allOf", "anyOf", "oneOf"]
        .iter()
        .flat_map(|word| list(&schema[*word]));
    let others: Vec<_> = others.map(type_of).collect();
    let constant = list(&schema["enum"]);
    let kind = match schema["type"].as_str() {
        _ if !constant.is_empty() => {
            let words = constant.iter().map(|word| format!("`{word}`"));
            words.collect::<Vec<_>>().join(" or ")
        }
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("object of {}", type_of(&schema["additionalProperties"]))
        }
        Some(kind) => kind.to_owned(),
        None if others.is_empty() => "any".to_owned(),
        None => others.join(" or "),
    };
    kind + nullable
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use schemars::generate::SchemaSettings;
    use schemars::{JsonSchema, SchemaGenerator};
    use serde_json::json;

    use super::super::forget_routes::{Departing, Forget};
    use super::super::routes::{Join, Nothing, ROUTES, Whom};
    use super::super::rumor_routes::{Elect, OfFile, OfGroup};
    use super::*;
    use crate::events::EventRow;
    use crate::history::{Explanation, HistoryRow};
    use crate::query_row::QueryRow;
    use crate::rumor_row::{ElectionRow, RumorRow};
    use crate::tags;
    use crate::view::{MemberRow, SeedRow, Status};

    const JSON: &str = "application/json";

    fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
        generator.subschema_for::<T>().to_value()
    }

    /// What a route takes as JSON.
    fn body(path: &str, generator: &mut SchemaGenerator) -> Value {
        match path {
            "/v1/join" | "/v1/unjoin" => of::<Join>(generator),
            "/v1/leave" => of::<Nothing>(generator),
            "/v1/block" | "/v1/unblock" => of::<Whom>(generator),
            "/v1/depart" => of::<Departing>(generator),
            "/v1/forget" => of::<Forget>(generator),
            "/v1/service/remove" | "/v1/config/remove" => of::<OfGroup>(generator),
            "/v1/file/remove" => of::<OfFile>(generator),
            "/v1/election" => of::<Elect>(generator),
            "/v1/tags" => of::<tags::Change>(generator),
            path => panic!("what does POST {path} take?"),
        }
    }

    /// What a route answers: its kind and its type.
    fn answer(method: &str, path: &str, generator: &mut SchemaGenerator) -> (&'static str, Value) {
        let schema = match (method, path) {
            ("GET", "/v1/members") => of::<Vec<MemberRow>>(generator),
            ("GET", "/v1/status") => of::<Status>(generator),
            ("GET", "/v1/history") => of::<Vec<HistoryRow>>(generator),
            ("GET", "/v1/explain") => of::<Explanation>(generator),
            ("GET", "/v1/rumors") => of::<Vec<RumorRow>>(generator),
            ("GET", "/v1/seeds") => of::<Vec<SeedRow>>(generator),
            ("GET", "/v1/answers") => of::<QueryRow>(generator),
            ("GET", "/v1/events") => return ("text/event-stream", of::<EventRow>(generator)),
            ("GET", "/v1/config" | "/v1/file") => return ("application/octet-stream", json!({})),
            ("GET", "/") => return ("text/html", json!({})),
            ("GET", "/metrics" | "/v1/log" | "/v1/settings") => return ("text/plain", json!({})),
            ("POST", "/v1/election") => of::<ElectionRow>(generator),
            ("GET", "/v1" | "/butterfly" | "/healthz" | "/readyz" | "/v1/openapi.json")
            | (_, "/v1/tags") => json!({ "type": "object" }),
            ("POST", _) => json!({ "type": "object" }),
            (method, path) => panic!("what does {method} {path} answer?"),
        };
        (JSON, schema)
    }

    fn made() -> String {
        let mut generator = SchemaSettings::openapi3().for_serialize().into_generator();
        let mut paths = json!({});
        for route in &ROUTES {
            let method = route.method();
            let (kind, schema) = answer(method, route.path, &mut generator);
            let mut made = json!({
                "summary": route.about,
                "responses": {
                    "200": { "description": "done", "content": { kind: { "schema": schema } } },
                    "default": {
                        "description": "refused",
                        "content": { JSON: { "schema": { "type": "object", "properties": { "error": { "type": "string" } } } } }
                    }
                }
            });
            if !route.params.is_empty() {
                let param = |name: &&str| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
                made["parameters"] = route.params.iter().map(param).collect();
            }
            if route.takes_bytes() {
                made["requestBody"] =
                    json!({ "content": { "application/octet-stream": { "schema": {} } } });
            } else if method == "POST" {
                let schema = body(route.path, &mut generator);
                made["requestBody"] = json!({ "content": { JSON: { "schema": schema } } });
            }
            paths[route.path][method.to_lowercase()] = made;
        }
        let api = json!({
            "openapi": "3.0.3",
            "info": { "title": "Butterfly", "version": "1", "description": "The gateway of a running member." },
            "security": [{}, { "token": [] }],
            "paths": paths,
            "components": {
                "schemas": generator.take_definitions(true),
                "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } }
            }
        });
        format!("{api:#}\n")
    }

    #[test]
    fn what_is_told_is_what_the_types_are() {
        let made = made();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gateway/openapi.json");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(path, made).unwrap();
            return;
        }
        assert!(
            made == OPENAPI,
            "UPDATE=1 cargo test -p butterfly-cli --lib openapi writes {}",
            path.display()
        );
    }

    #[test]
    fn every_type_that_is_named_is_there() {
        let api: Value = serde_json::from_str(OPENAPI).unwrap();
        let types = api["components"]["schemas"].as_object().unwrap();
        for part in OPENAPI.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(types.contains_key(name), "{name}");
        }
        let page = page();
        for name in ["Member", "Status", "Fact", "Event", "Rumor", "Explanation"] {
            assert!(types.contains_key(name), "{name}");
            assert!(page.contains(&format!("\n### {name}\n")), "{name}");
        }
        assert!(page.contains("| `rtt_us` | integer or null"), "{page}");
    }
}
