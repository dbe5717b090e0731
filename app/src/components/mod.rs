//! The parts that pages are made of. None knows an address or where its data comes from.

pub mod answer;
pub mod chart;
pub mod code;
pub mod examples;
pub mod face;
pub mod form;
pub mod frame;
pub mod icon;
pub mod keys;
pub mod limit;
pub mod limit_form;
pub mod more;
pub mod notice;
pub mod profile;
pub mod rest;
pub mod runtime_card;
pub mod runtime_key;
pub mod sharing;
pub mod start_steps;
pub mod state;
pub mod time;
pub mod under_way;
pub mod wish;

#[cfg(all(test, feature = "ssr"))]
mod tests;
