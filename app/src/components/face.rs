//! Initials in a colour that belongs to the name.

use leptos::prelude::*;

const COLOURS: [&str; 8] = ["#2a7d74", "#a34f7a", "#3b6fb0", "#7a6a2f", "#5a4fcf", "#b8572f", "#7a4fd0", "#2f7d6a"];

/// A person's face.
pub fn face(name: &str) -> AnyView {
    view! { <span class="face" style=format!("--c:{}", colour(name)) aria-hidden="true">{initials(name)}</span> }.into_any()
}

/// The face of a thing: a provider or a model.
pub fn badge(name: &str) -> AnyView {
    let first: String = name.chars().take(1).flat_map(char::to_uppercase).collect();
    view! { <span class="face square" style=format!("--c:{}", colour(name)) aria-hidden="true">{first}</span> }.into_any()
}

/// A person with face, name and what stands below.
pub fn person(name: &str, below: &str) -> AnyView {
    view! {
        <span class="person">
            {face(name)}
            <span><b>{name.to_owned()}</b><span>{below.to_owned()}</span></span>
        </span>
    }
    .into_any()
}

fn colour(name: &str) -> &'static str {
    let sum = name.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    COLOURS[sum % COLOURS.len()]
}

fn initials(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    let letters = match words.as_slice() {
        [] => String::new(),
        [one] => one.chars().take(2).collect(),
        [first, .., last] => first.chars().take(1).chain(last.chars().take(1)).collect(),
    };
    letters.to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::initials;

    #[test]
    fn initials_are_the_first_and_the_last() {
        for (name, letters) in [("Ada Lindqvist", "AL"), ("Ada", "AD"), ("Juan de la Cruz", "JC"), ("", ""), ("örn", "ÖR")] {
            assert_eq!(initials(name), letters);
        }
    }
}
