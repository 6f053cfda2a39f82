//! An item with what is said of it.

use crate::people::ratings::Item;

/// An item that counts.
pub(super) struct Case<'a> {
    pub item: &'a Item,
    pub stratum: String,
    /// What the judge says: a number, or 1 for good and 0 for bad.
    pub judge: Option<f64>,
    /// What people say together.
    pub people: Option<f64>,
    /// The probability with which it was drawn to be labelled.
    pub probability: Option<f64>,
}
