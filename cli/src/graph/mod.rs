//! Pictures of a plan: tasks as boxes, steps in them, brackets as marked outages.

mod dot;
mod drawing;
mod layout;
mod mermaid;
mod svg;

#[cfg(test)]
mod tests;

pub(crate) use dot::dot;
pub(crate) use drawing::Drawing;
pub(crate) use mermaid::mermaid;
pub(crate) use svg::svg;
