//! Questions that were asked through the gateway, and what came of them; and what others ask this member.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use butterfly::rumor::{Answer, Answered};
use butterfly::{CommandError, Health, MemberId, UserEvent};
use log::debug;

use super::Agent;
use super::keys::RING_KEY;
use crate::query_row::{AnswerRow, AskedRow, QueryRow};

/// Questions that are remembered, the latest: those that wait for answers, and some that are over.
const MOST_ASKED: usize = 2 * butterfly::limits::MAX_QUERIES;

/// A question that was asked here.
struct Asked {
    id: u64,
    name: String,
    at: Instant,
    /// Whom it asks, as far as they take questions.
    members: Vec<MemberId>,
    answers: Vec<AnswerRow>,
    is_over: bool,
}

/// Those of this member.
#[derive(Default)]
pub struct Questions(VecDeque<Asked>);

impl Agent {
    /// Asks the members of the ring; the question's id.
    pub fn ask(&mut self, question: UserEvent) -> Result<u64, CommandError> {
        let sent = self.member.send_event(question)?;
        let Some(query) = &sent.query else {
            return Err(CommandError::BadQuery);
        };
        let node = self.member.node();
        let is_asked = |id: MemberId, name: &str| {
            let tags = node.tags(id);
            query.asks(id, name, |key| tags.as_ref().and_then(|tags| tags.get(key)))
        };
        let living = node.members().filter(|view| view.health <= Health::Suspect);
        let asked = living.filter(|view| {
            let id = view.member.id;
            node.takes_own_kinds(id) && is_asked(id, view.name)
        });
        let asked = Asked {
            id: query.id,
            name: sent.name.clone(),
            at: Instant::now(),
            members: asked.map(|view| view.member.id).collect(),
            answers: Vec::new(),
            is_over: false,
        };
        let id = asked.id;
        self.questions.0.push_back(asked);
        if self.questions.0.len() > MOST_ASKED {
            self.questions.0.pop_front();
        }
        Ok(id)
    }

    /// A member answers.
    pub(super) fn answered(&mut self, answer: &Answer) {
        let name = self.member.node().member(answer.member);
        let name = name.map_or(String::new(), |view| view.name.to_owned());
        let mut asked = self.questions.0.iter_mut();
        let Some(asked) = asked.find(|asked| asked.id == answer.query) else {
            return;
        };
        let (what, text) = match &answer.what {
            Answered::With(payload) => ("answer", String::from_utf8_lossy(payload).into_owned()),
            Answered::Failed(why) => ("failed", why.clone()),
            _ => ("received", String::new()),
        };
        asked.answers.push(AnswerRow {
            member: answer.member.to_string(),
            name,
            what: what.to_owned(),
            text,
            after_ms: asked.at.elapsed().as_millis() as u64,
        });
    }

    /// No more answers come.
    pub(super) fn query_over(&mut self, query: u64) {
        if let Some(asked) = self.questions.0.iter_mut().find(|asked| asked.id == query) {
            asked.is_over = true;
        }
    }

    /// What came of a question so far; `None`: it was not asked here, or is forgotten.
    pub fn answers(&self, query: u64) -> Option<QueryRow> {
        let asked = self.questions.0.iter().find(|asked| asked.id == query)?;
        let node = self.member.node();
        let is_final = |row: &&AnswerRow| row.what != "received";
        let rows = asked.answers.iter();
        let done: BTreeSet<&str> = rows.filter(is_final).map(|row| &*row.member).collect();
        let row = |id: &MemberId| AskedRow {
            member: id.to_string(),
            name: node
                .member(*id)
                .map_or(String::new(), |view| view.name.to_owned()),
        };
        let missing = asked.members.iter().map(row);
        let missing: Vec<_> = missing.filter(|row| !done.contains(&*row.member)).collect();
        Some(QueryRow {
            query: format!("{query:016x}"),
            name: asked.name.clone(),
            over: asked.is_over || missing.is_empty(),
            asked: asked.members.len(),
            answers: asked.answers.clone(),
            missing,
        })
    }

    /// A member asks this one: what has a command is answered by that.
    pub(super) fn asked_by_ring(&mut self, question: &Arc<UserEvent>) {
        if question.name == RING_KEY {
            if let Err(why) = self.change_keys(question) {
                self.answer(question, Err(why));
            }
            return;
        }
        if !self.handlers.answers(&question.name) {
            let why = format!("no --on query:{} here", question.name);
            self.answer(question, Err(why));
        }
    }

    /// Commands are done that answer questions.
    pub fn answer_for_commands(&mut self) {
        while let Some((question, answer)) = self.handlers.take_answer() {
            self.answer(&question, answer);
        }
    }

    pub(super) fn answer(&mut self, question: &UserEvent, answer: Result<Vec<u8>, String>) {
        let answer = match &answer {
            Ok(payload) => Ok(&**payload),
            Err(why) => Err(&**why),
        };
        let said = match self.member.answer(question, answer) {
            Err(error @ CommandError::AnswerTooLarge { .. }) => {
                let why = error.to_string();
                self.member.answer(question, Err(&why))
            }
            said => said,
        };
        if let Err(error) = said {
            debug!("query {:?} from {}: {error}", question.name, question.by);
        }
    }
}
