//! The scheduler's files call each other in one direction. This counts calls through `self` (also
//! of a field's methods, if the field's type is ours) and of imported free functions, by the file
//! that each is written in.

#![expect(clippy::unwrap_used, reason = "a source that cannot be read cannot be checked")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Every file of the scheduler by its path from `src`, without tests. A line that begins with a dot
/// is joined to the line before.
fn sources() -> BTreeMap<String, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.join("scheduler")];
    let mut paths = vec![src.join("scheduler.rs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_story = path.file_stem().unwrap() == "stories";
            match path.is_dir() {
                _ if is_story => {}
                true => folders.push(path),
                false => paths.push(path),
            }
        }
    }
    let mut sources = BTreeMap::new();
    for path in paths {
        let mut text = String::new();
        for line in fs::read_to_string(&path).unwrap().lines() {
            if line == "mod tests {" {
                break;
            }
            let line = line.split("//").next().unwrap();
            let goes_on = line.trim_start().starts_with('.');
            text.push_str(if goes_on { "" } else { "\n" });
            text.push_str(if goes_on { line.trim() } else { line });
        }
        sources.insert(path.strip_prefix(&src).unwrap().display().to_string(), text);
    }
    sources
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn word(text: &str) -> &str {
    &text[..text.find(|character| !is_of_word(character)).unwrap_or(text.len())]
}

/// The name that a line defines with this keyword, whatever its visibility.
fn defined<'a>(line: &'a str, by: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => line,
    };
    line.strip_prefix(by).map(|rest| word(rest.trim_start()))
}

/// The type that an `impl` line is about.
fn implemented(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    let rest = if rest.starts_with('<') { rest.split_once("> ")?.1 } else { rest.trim_start() };
    Some(word(rest.split_once(" for ").map_or(rest, |(_, of)| of)))
}

/// Which file calls which.
fn calls(sources: &BTreeMap<String, String>) -> Graph {
    let (mut methods, mut functions, mut fields) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (file, text) in sources {
        let (mut of, mut fields_of) = ("", "");
        for line in text.lines() {
            of = implemented(line).unwrap_or(if line.starts_with('}') { "" } else { of });
            fields_of = match defined(line, "struct ") {
                Some(name) if line.ends_with('{') => name,
                _ if line.starts_with('}') => "",
                _ => fields_of,
            };
            if let Some(name) = defined(line, "fn ") {
                match of {
                    "" => functions.insert(name, file).map(drop),
                    of => methods.insert((of, name), file).map(drop),
                };
            } else if let ("", Some((name, kind))) = (of, line.split_once(": ")) {
                let kind = kind.trim_start_matches(['&', '\'']).trim_start_matches("a ");
                fields.insert((fields_of, defined(name, "").unwrap_or_default()), word(kind));
            }
        }
    }
    let mut graph = Graph::new();
    for (file, text) in sources {
        let called = graph.entry(file.clone()).or_default();
        let mut of = "";
        for line in text.lines() {
            of = implemented(line).unwrap_or(if line.starts_with('}') { "" } else { of });
            for (at, _) in line.match_indices("self.") {
                let (mut of, mut rest) = (of, &line[at + "self.".len()..]);
                loop {
                    let name = word(rest);
                    rest = &rest[name.len()..];
                    if let Some(next) = rest.strip_prefix('.') {
                        (of, rest) = (fields.get(&(of, name)).copied().unwrap_or(""), next);
                        continue;
                    }
                    let method = rest.starts_with('(').then(|| methods.get(&(of, name))).flatten();
                    called.extend(method.map(|file| (*file).clone()));
                    break;
                }
            }
        }
        let imports = text.split("\nuse ").skip(1).filter_map(|rest| rest.split(';').next());
        let imported = imports.flat_map(|import| import.split(|c| !is_of_word(c)));
        called.extend(imported.filter_map(|name| functions.get(name)).map(|file| (*file).clone()));
        called.remove(file);
    }
    graph
}

/// Files that call each other in a cycle, if there are any.
fn cycle(graph: &Graph) -> Option<Vec<String>> {
    fn follow(graph: &Graph, path: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        let last = path.last().unwrap().clone();
        for next in graph.get(&last).into_iter().flatten() {
            if let Some(at) = path.iter().position(|file| file == next) {
                path.drain(..at);
                path.push(next.clone());
                return true;
            }
            if !done.contains(next) {
                path.push(next.clone());
                if follow(graph, path, done) {
                    return true;
                }
                path.pop();
            }
        }
        done.insert(last);
        false
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|file| {
        let mut path = vec![file.clone()];
        follow(graph, &mut path, &mut done).then_some(path)
    })
}

#[test]
fn the_call_graph_of_the_scheduler_has_no_cycle() {
    let graph = calls(&sources());
    assert!(graph["scheduler/admission.rs"].contains("scheduler/requeue.rs"), "calls are found");
    assert_eq!(cycle(&graph), None, "in {graph:#?}");
}

#[test]
fn a_cycle_is_found() {
    let of = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        cycle(&graph)
    };
    assert_eq!(of(&[("a", "b"), ("b", "c"), ("a", "c")]), None);
    assert_eq!(of(&[("a", "b"), ("b", "c"), ("c", "b")]).unwrap(), ["b", "c", "b"]);
}

#[test]
fn no_room_knows_the_others_and_only_the_record_knows_the_view() {
    let rooms =
        ["backlog", "disputes", "fact", "fleet", "jobs", "leadership", "memo", "outbox", "trials"];
    for (file, text) in sources() {
        let stem = file.trim_start_matches("scheduler/").trim_end_matches(".rs");
        let of = stem.split('/').next().unwrap();
        let names = |name: &str| text.split(|c| !is_of_word(c)).any(|word| word == name);
        if rooms.contains(&of) {
            assert!(!names("Rooms"), "{file} is a room and calls back");
        }
        if !["record", "scheduler"].contains(&of) {
            assert!(!names("view") && !names("record"), "{file} decides and knows the record");
        }
    }
}
