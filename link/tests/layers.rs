//! The files of the link import each other in no circle.

#![expect(clippy::unwrap_used, reason = "a source that cannot be read cannot be checked")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What each file in this folder imports of ours, without what is only for tests.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let paths = ["", "url"].map(|folder| fs::read_dir(src.join(folder)).unwrap());
    let paths = paths.into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut imports = BTreeMap::new();
    for path in paths.filter(|path| path.is_file() && !path.ends_with("tests.rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let of_ours = ["use super::", "use crate::", "use self::"];
        let used = text.lines().filter_map(|line| {
            let line = line.trim_start_matches("pub(super) ").trim_start_matches("pub ");
            of_ours.iter().find_map(|start| line.strip_prefix(start))
        });
        let names = used.map(|rest| rest.split([':', ';', '{', ' ']).next().unwrap().to_owned());
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        imports.insert(file, names.collect());
    }
    imports
}

/// What is left when files that import nothing of what is left are taken away, again and again.
fn circles(mut imports: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    loop {
        let left: BTreeSet<String> = imports.keys().cloned().collect();
        imports.retain(|_, imported| !imported.is_disjoint(&left));
        if imports.len() == left.len() {
            return imports;
        }
    }
}

#[test]
fn files_import_each_other_in_no_circle() {
    let mut imports = imports();
    assert!(imports["generation"].contains("questions"), "imports are found");
    assert!(imports.values().all(|names| !names.contains("")), "from files, never from the root");
    assert_eq!(circles(imports.clone()), BTreeMap::new());
    imports.get_mut("reason").unwrap().insert("generation".to_owned());
    assert!(circles(imports).contains_key("questions"), "a circle is found");
}
