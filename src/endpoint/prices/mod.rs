//! What tokens cost: from the configuration, or from LiteLLM's list of models.

mod price_list;
#[expect(clippy::module_inception, reason = "the module's one subject")]
mod prices;

pub use price_list::{PriceList, PriceListError};
pub use prices::Prices;
