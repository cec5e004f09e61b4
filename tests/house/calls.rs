//! Which file of a folder calls which, by real calls: a method call needs no `use`, so imports do not show it.
//!
//! The sources are read as tokens, not as types. What is seen:
//! * `self.method()`, as `self` is of the type whose `impl` it stands in;
//! * `self.field.method()`, `parameter.method()` and `parameter.field.method()`, by the types that the struct or the
//!   signature names; so are `let x = &self.field;`, `let x = &mut self.field;` and `let Type { field, .. } = self;`;
//! * `Type::function`, `module::function`, `Self::function` and functions imported by `use super::…`.
//!
//! What is not seen: methods of other local variables and of what functions return, traits' default methods, macros.

use std::collections::{BTreeMap, BTreeSet};

/// The sources of a folder, by file name.
#[derive(Default)]
struct Folder {
    /// Where each function of each type is.
    methods: BTreeMap<(String, String), BTreeSet<String>>,
    /// The same of traits, which count only where no type has a method of that name itself.
    of_traits: BTreeMap<(String, String), BTreeSet<String>>,
    /// Functions without a type, by file.
    free: BTreeSet<(String, String)>,
    /// The type of each field of a struct.
    fields: BTreeMap<(String, String), String>,
    types: BTreeSet<String>,
}

/// The calls between files: from each file to others.
pub type Calls = BTreeMap<String, BTreeSet<String>>;

/// The calls between these files, each a name without its extension, and its text.
pub fn calls(files: &[(String, String)]) -> Calls {
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (name.as_str(), tokens(text)))
        .collect();
    let mut folder = Folder::default();
    for (_, tokens) in &files {
        folder.find_types(tokens);
    }
    for (file, tokens) in &files {
        folder.find_fields(tokens);
        for function in functions(tokens) {
            let name = function.name.to_owned();
            match function.of {
                Some(of) => {
                    let methods = match function.of_trait {
                        true => &mut folder.of_traits,
                        false => &mut folder.methods,
                    };
                    let places = methods.entry((of.to_owned(), name)).or_default();
                    places.insert((*file).to_owned());
                }
                None => _ = folder.free.insert(((*file).to_owned(), name)),
            }
        }
    }
    let mut calls = Calls::new();
    for (file, tokens) in &files {
        let imports = imports(tokens);
        let callees = calls.entry((*file).to_owned()).or_default();
        for function in functions(tokens) {
            callees.extend(folder.callees(file, &imports, &function));
        }
        callees.remove(*file);
    }
    calls
}

/// Groups of files that call each other in a circle, larger than this.
pub fn cycles(calls: &Calls, larger_than: usize) -> BTreeSet<BTreeSet<String>> {
    let reaches: BTreeMap<&String, BTreeSet<&String>> = calls
        .keys()
        .map(|file| (file, reached(calls, file)))
        .collect();
    let group = |file: &String| -> BTreeSet<String> {
        let both = |other: &&&String| reaches.get(**other).is_some_and(|set| set.contains(file));
        let others = reaches[file].iter().filter(both);
        others.map(|other| (*other).clone()).collect()
    };
    let groups = calls.keys().map(group);
    groups.filter(|group| group.len() > larger_than).collect()
}

fn reached<'c>(calls: &'c Calls, from: &String) -> BTreeSet<&'c String> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        for callee in calls.get(file).into_iter().flatten() {
            if found.insert(callee) {
                next.push(callee);
            }
        }
    }
    found
}

/// A function's signature and body.
struct Found<'t> {
    of: Option<&'t str>,
    /// Whether its `impl` is of a trait.
    of_trait: bool,
    name: &'t str,
    parameters: &'t [&'t str],
    body: &'t [&'t str],
}

impl Folder {
    fn find_types(&mut self, tokens: &[&str]) {
        for pair in tokens.windows(2) {
            if ["struct", "enum", "trait"].contains(&pair[0]) {
                self.types.insert(pair[1].to_owned());
            }
        }
    }

    fn find_fields(&mut self, tokens: &[&str]) {
        for (name, inside) in structs(tokens) {
            for (field, of) in self.typed(inside) {
                self.fields.insert((name.to_owned(), field), of);
            }
        }
    }

    /// The names in `name: Type, …` whose types are of this folder.
    fn typed(&self, tokens: &[&str]) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for part in split(tokens) {
            let Some(colon) = part.iter().position(|token| *token == ":") else {
                continue;
            };
            let of = part[colon + 1..]
                .iter()
                .find(|token| self.types.contains(**token));
            if let (Some(name), Some(of)) = (colon.checked_sub(1).map(|it| part[it]), of) {
                found.push((name.to_owned(), (*of).to_owned()));
            }
        }
        found
    }

    /// The files that a function calls.
    fn callees(
        &self,
        file: &str,
        imports: &BTreeMap<&str, &str>,
        function: &Found<'_>,
    ) -> BTreeSet<String> {
        let mut variables: BTreeMap<String, String> =
            self.typed(function.parameters).into_iter().collect();
        if let Some(of) = function.of {
            variables.insert("self".to_owned(), of.to_owned());
        }
        self.find_aliases(function, &mut variables);
        let body = function.body;
        let mut found = BTreeSet::new();
        let mut place = 0;
        while place < body.len() {
            let start = place;
            place += 1;
            if !is_name(body[start]) || start > 0 && [".", "::"].contains(&body[start - 1]) {
                continue;
            }
            let chain = chain(&body[start..]);
            place = start + 2 * chain.names.len() - 1;
            let called = body.get(place) == Some(&"(") || body.get(place) == Some(&"::");
            let names = &chain.names;
            match (chain.separator, names.len()) {
                (".", _) if called => {
                    let mut of = variables.get(names[0]).cloned();
                    for field in &names[1..names.len() - 1] {
                        of = of.and_then(|of| self.fields.get(&(of, (*field).to_owned())).cloned());
                    }
                    if let Some(of) = of {
                        found.extend(self.methods_of(&of, names[names.len() - 1]));
                    }
                }
                ("::", len) => {
                    let (first, last) = (names[len - 2], names[len - 1]);
                    let first = if first == "Self" {
                        function.of.unwrap_or(first)
                    } else {
                        first
                    };
                    found.extend(self.methods_of(first, last));
                    let module = if first == "super" { "mod" } else { first };
                    found.extend(self.free_in(module, last));
                }
                (_, 1) if called => {
                    found.extend(self.free_in(file, names[0]));
                    if let Some(module) = imports.get(names[0]) {
                        found.extend(self.free_in(module, names[0]));
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn methods_of(&self, of: &str, name: &str) -> BTreeSet<String> {
        let key = (of.to_owned(), name.to_owned());
        let found = self.methods.get(&key).or(self.of_traits.get(&key));
        found.cloned().unwrap_or_default()
    }

    fn free_in(&self, module: &str, name: &str) -> Option<String> {
        let key = (module.to_owned(), name.to_owned());
        self.free.contains(&key).then_some(key.0)
    }

    /// `let x = &self.field;`, and `let Type { field, .. } = self;`
    fn find_aliases(&self, function: &Found<'_>, variables: &mut BTreeMap<String, String>) {
        let Some(of) = function.of else { return };
        let field = |name: &str| self.fields.get(&(of.to_owned(), name.to_owned()));
        let plain: Vec<_> = function
            .body
            .iter()
            .filter(|token| **token != "mut")
            .collect();
        for (place, _) in plain
            .iter()
            .enumerate()
            .filter(|(_, token)| ***token == "let")
        {
            let rest: Vec<&str> = plain[place + 1..]
                .iter()
                .take(64)
                .map(|token| **token)
                .collect();
            match rest[..] {
                [name, "=", "&", "self", ".", of, ";", ..] => {
                    if let Some(of) = field(of) {
                        variables.insert(name.to_owned(), of.clone());
                    }
                }
                [_, "{", ..] => {
                    let inside = balanced(&rest[1..]);
                    if rest.get(inside.len() + 3..inside.len() + 6) == Some(&["=", "self", ";"]) {
                        for name in inside {
                            if let Some(of) = field(name) {
                                variables.insert((*name).to_owned(), of.clone());
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// The structs with named fields: each with what is between its braces.
fn structs<'s, 't>(tokens: &'s [&'t str]) -> Vec<(&'t str, &'s [&'t str])> {
    let mut found = Vec::new();
    for (place, pair) in tokens.windows(2).enumerate() {
        let rest = &tokens[place + 2..];
        let is_end = |token: &&str| ["{", ";", "("].contains(token);
        let open = rest.iter().position(is_end).filter(|_| pair[0] == "struct");
        if let Some(open) = open.filter(|open| rest[*open] == "{") {
            found.push((pair[1], balanced(&rest[open..])));
        }
    }
    found
}

/// How many fields each struct of these files has.
pub fn field_counts(files: &[(String, String)]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (_, text) in files {
        let tokens = tokens(text);
        for (name, inside) in structs(&tokens) {
            let fields = split(inside)
                .iter()
                .filter(|part| part.contains(&":"))
                .count();
            found.push((name.to_owned(), fields));
        }
    }
    found
}

/// Calls with several arguments of which one is a literal bool, whose meaning only the callee's signature shows.
pub fn bare_bools(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (place, pair) in tokens.windows(2).enumerate() {
        let is_function = pair[0].starts_with(|first: char| first.is_lowercase())
            && !["let", "if", "in", "match", "return"].contains(&pair[0]);
        if !is_function || pair[1] != "(" || place > 0 && tokens[place - 1] == "fn" {
            continue;
        }
        let arguments = split(balanced(&tokens[place + 1..]));
        let is_bare = |argument: &&[&str]| matches!(argument, ["true" | "false"]);
        if arguments.len() > 1 && arguments.iter().any(is_bare) {
            found.push(pair[0].to_owned());
        }
    }
    found
}

/// The functions that change more of these types than this, each with its name.
pub fn with_more_than(most: usize, text: &str, types: &BTreeSet<String>) -> Vec<String> {
    let tokens = tokens(text);
    let functions = functions(&tokens);
    let changed = |function: &Found<'_>| {
        let parameters = function.parameters;
        let after_mut = parameters.windows(2).filter(|pair| pair[0] == "mut");
        after_mut
            .filter(|pair| pair[1] == "self" || types.contains(pair[1]))
            .count()
    };
    let many = functions.iter().filter(|function| changed(function) > most);
    many.map(|function| function.name.to_owned()).collect()
}

/// The names of the structs in this text.
pub fn struct_names(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let structs = structs(&tokens);
    structs.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Names that dots or double colons join.
struct Chain<'t> {
    names: Vec<&'t str>,
    separator: &'t str,
}

fn chain<'t>(tokens: &[&'t str]) -> Chain<'t> {
    let mut names = vec![tokens[0]];
    let separator = tokens
        .get(1)
        .copied()
        .filter(|it| [".", "::"].contains(it))
        .unwrap_or("");
    let mut rest = &tokens[1..];
    while let [next, name, ..] = rest
        && !separator.is_empty()
        && *next == separator
        && is_name(name)
    {
        names.push(name);
        rest = &rest[2..];
    }
    let separator = if names.len() == 1 { "" } else { separator };
    Chain { names, separator }
}

/// What each `use super::module::name` brings in: the name, and the module it comes from.
fn imports<'t>(tokens: &[&'t str]) -> BTreeMap<&'t str, &'t str> {
    let mut found = BTreeMap::new();
    for (place, window) in tokens.windows(3).enumerate() {
        if window != ["use", "super", "::"] {
            continue;
        }
        let rest = &tokens[place + 3..];
        let end = rest
            .iter()
            .position(|token| *token == ";")
            .unwrap_or(rest.len());
        let path = &rest[..end];
        match path {
            [module, "::", names @ ..] => found.extend(names.iter().map(|name| (*name, *module))),
            names => found.extend(names.iter().map(|name| (*name, "mod"))),
        }
    }
    found
}

fn functions<'t>(tokens: &'t [&'t str]) -> Vec<Found<'t>> {
    let mut found = Vec::new();
    // The type of the `impl` under way, and where it ends.
    let mut of: Option<(&str, bool, usize)> = None;
    let mut place = 0;
    while place + 1 < tokens.len() {
        if of.is_some_and(|(_, _, end)| place >= end) {
            of = None;
        }
        match tokens[place] {
            "impl" if of.is_none() => {
                let open = place
                    + tokens[place..]
                        .iter()
                        .position(|token| *token == "{")
                        .unwrap_or(0);
                let head = &tokens[place + 1..open];
                let end = open + balanced(&tokens[open..]).len() + 1;
                of = type_of_impl(head).map(|name| (name, head.contains(&"for"), end));
                place = open;
            }
            "fn" if is_name(tokens[place + 1]) => {
                let name = tokens[place + 1];
                let Some(open) = tokens[place..].iter().position(|token| *token == "(") else {
                    break;
                };
                let parameters = balanced(&tokens[place + open..]);
                let after = place + open + parameters.len() + 2;
                let begins = tokens[after..]
                    .iter()
                    .position(|token| ["{", ";"].contains(token));
                let Some(begins) = begins.map(|begins| after + begins) else {
                    break;
                };
                let body = if tokens[begins] == "{" {
                    balanced(&tokens[begins..])
                } else {
                    &[]
                };
                found.push(Found {
                    of: of.map(|(of, ..)| of),
                    of_trait: of.is_some_and(|(_, of_trait, _)| of_trait),
                    name,
                    parameters,
                    body,
                });
                place = begins + body.len();
            }
            _ => {}
        }
        place += 1;
    }
    found
}

/// The type that an `impl` is for: the name before its own generics, after those of the `impl` and the trait.
fn type_of_impl<'t>(head: &[&'t str]) -> Option<&'t str> {
    let mut depth = 0;
    let mut name = None;
    for token in head {
        match *token {
            "<" => depth += 1,
            ">" => depth -= 1,
            "where" => break,
            "for" if depth == 0 => name = None,
            token if depth == 0 && is_name(token) => name = Some(token),
            _ => {}
        }
    }
    name
}

/// What is between the bracket that comes first and its other half.
fn balanced<'s, 't>(tokens: &'s [&'t str]) -> &'s [&'t str] {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate() {
        match *token {
            "(" | "{" | "[" => depth += 1,
            ")" | "}" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return tokens.get(1..place).unwrap_or_default();
        }
    }
    &[]
}

/// Split at the commas that are in no bracket.
fn split<'s, 't>(tokens: &'s [&'t str]) -> Vec<&'s [&'t str]> {
    let mut depth = 0;
    let is_comma = |token: &&str| {
        match *token {
            "(" | "{" | "[" | "<" => depth += 1,
            ")" | "}" | "]" | ">" => depth -= 1,
            _ => {}
        }
        depth == 0 && *token == ","
    };
    tokens.split(is_comma).collect()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Names, numbers, `::` and single signs; without comments, strings, attributes and unit tests.
fn tokens(text: &str) -> Vec<&str> {
    let code = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("->") || rest.starts_with("=>") => 2,
            '"' => string_len(rest),
            '\'' => quote_len(rest),
            _ if is_name(rest) || first.is_ascii_digit() => {
                let part = |char: char| char.is_alphanumeric() || char == '_';
                let len = rest.find(|char| !part(char)).unwrap_or(rest.len());
                found.push(&rest[..len]);
                len
            }
            _ if rest.starts_with("::") => {
                found.push("::");
                2
            }
            first if first.is_whitespace() => first.len_utf8(),
            first => {
                found.push(&rest[..first.len_utf8()]);
                first.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    found
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (place, char) in text.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character, or a lifetime.
fn quote_len(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => {
            let end = chars.find(|(_, char)| *char == '\'');
            end.map_or(text.len(), |(place, _)| place + 1)
        }
        (_, Some((place, '\''))) => place + 1,
        _ => 1,
    }
}
