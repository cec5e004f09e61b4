//! Bytes and messages: captured ones, made-up ones, and what other code makes of them.

mod extension_fields;
mod oracle;
mod rejects;
mod rumors;
mod vectors;
