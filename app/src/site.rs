//! The built files of the page: their addresses, and the parts that its code lies in.

use leptos::prelude::*;
use leptos_meta::{Link, Meta};
use std::sync::Arc;

/// What is known of the built files. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Site(Arc<Built>);

#[derive(Debug, Default)]
struct Built {
    version: String,
    parts: Vec<(String, Vec<String>)>,
}

/// What ties the parts to the first file.
const JOINT: &str = "__wasm_split.js";

impl Site {
    /// Of this version, which changes with the files so that a browser may keep each for good; empty where nobody knows it. `parts` says what the
    /// splitter made of the code, a part a line: its name and the files that it is in.
    #[must_use]
    pub fn new(version: &str, parts: &str) -> Self {
        let part = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            Some((words.next()?, words.collect()))
        };
        Self(Arc::new(Built { version: version.to_owned(), parts: parts.lines().filter_map(part).collect() }))
    }

    /// The address of a built file. All that belong together lie in one folder: they name each other.
    #[must_use]
    pub fn address(&self, file: &str) -> String {
        match self.0.version.as_str() {
            "" => format!("/pkg/{file}"),
            version => format!("/pkg/{version}/{file}"),
        }
    }

    /// The address of what ties the parts together; none where the code lies in one file.
    pub fn joint(&self) -> Option<String> {
        (!self.0.parts.is_empty()).then(|| self.address(JOINT))
    }

    /// The addresses of a part's files.
    pub fn part(&self, name: &str) -> impl Iterator<Item = String> {
        self.0.parts.iter().filter(move |part| part.0 == name).flat_map(|part| &part.1).map(|file| self.address(file))
    }
}

/// Names this part and its files in the head of the page that is being drawn.
pub fn announce(part: &'static str) {
    let Some(site) = use_context::<Site>() else {
        return;
    };
    // What is for the head goes there when it is drawn, and leaves nothing at its place.
    drop(view! { <Meta name="part" content=part /> }.to_html());
    for href in site.part(part) {
        drop(view! { <Link rel="preload" href=href as_="fetch" type_="application/wasm" crossorigin="anonymous" /> }.to_html());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_in_the_folder_of_their_version_and_parts_name_theirs() {
        let whole = Site::new("", "");
        assert_eq!(whole.address("clawloops.js"), "/pkg/clawloops.js");
        assert_eq!((whole.joint(), whole.part("admin").count()), (None, 0));

        let parted = Site::new("0a1b", "own chunk_1.wasm split_own.wasm\nadmin chunk_1.wasm split_admin.wasm\n");
        assert_eq!(parted.address("clawloops.js"), "/pkg/0a1b/clawloops.js");
        assert_eq!(parted.joint().as_deref(), Some("/pkg/0a1b/__wasm_split.js"));
        assert_eq!(parted.part("admin").collect::<Vec<_>>(), ["/pkg/0a1b/chunk_1.wasm", "/pkg/0a1b/split_admin.wasm"]);
        assert_eq!(parted.part("none").count(), 0);
    }
}
