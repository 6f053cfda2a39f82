//! Prices from LiteLLM's list, as a file.

use serde_json::json;

use crate::common::{Fake, Place, answers};

/// A place with the list in `prices.json`: a million tokens cost 10,000 in and 100,000 out.
fn place() -> Place {
    let place = Place::with_traces(20);
    let list = json!({
        "sample_spec": {"input_cost_per_token": 0, "litellm_provider": "any"},
        "gpt-4.1-mini": {"litellm_provider": "openai", "input_cost_per_token": 1e-2, "output_cost_per_token": 1e-1, "mode": "chat"},
    });
    place.write("prices.json", list.to_string());
    place
}

#[test]
fn a_list_of_prices_gives_cost_and_budget_with_its_date() {
    let place = place();
    let fake = Fake::start(|_| answers::verdict(true));
    // 100 tokens in, 10 out: 2 a request.
    let args = ["-m", "openai:/gpt-4.1-mini", "--prices", "prices.json", "--max-cost", "5", "-j", "1"];
    let finished = place.judge(&fake.base_url(), &args).run().exits_with(4);
    let finished =
        finished.says(&["note: prices of openai:/gpt-4.1-mini: 10000 in, 100000 out per million tokens, as of 20"]);
    finished.prints(&["cost 6.0000"]);
    assert_eq!(fake.count(), 3);
    // The plan of the run keeps them for a replay.
    assert!(place.read("traces.feedback.run.json").contains("\"as_of\""));
}

#[test]
fn the_configuration_overrides_the_list() {
    let place = place();
    place.write(
        "judge-run.toml",
        "[endpoints.openai.prices.\"gpt-4.1-mini\"]\ninput = 1\noutput = 1\nas_of = \"2026-11-01\"\n",
    );
    let fake = Fake::start(|_| answers::verdict(true));
    let args = ["-m", "openai:/gpt-4.1-mini", "--prices", "prices.json"];
    let finished = place.judge(&fake.base_url(), &args).run().exits_with(0);
    finished.says(&["1 in, 1 out per million tokens, as of 2026-11-01"]);
}

#[test]
fn what_is_missing_or_wrong_is_said_before_anything_is_sent() {
    let place = place();
    let fake = Fake::start(|_| answers::verdict(true));
    let run =
        |model: &str, file: &str| place.judge(&fake.base_url(), &["-m", model, "--prices", file]).run().exits_with(2);
    run("openai:/gpt-9", "prices.json")
        .says(&["prices.json has no prices of openai:/gpt-9", "[endpoints.openai.prices.\"gpt-9\"]"]);
    run("groq:/gpt-4.1-mini", "prices.json").says(&["no prices of groq:/gpt-4.1-mini"]);
    run("openai:/gpt-4.1-mini", "none.json").says(&["cannot read none.json"]);
    place.write("other.json", "{\"a\": 1}");
    run("openai:/gpt-4.1-mini", "other.json")
        .says(&["other.json: not a list of prices", "model_prices_and_context_window.json"]);
    assert_eq!(fake.count(), 0);
}
