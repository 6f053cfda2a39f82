//! Values of the template engine: whether there is one, and its JSON.

use minijinja::value::{DynObject, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use crate::json_string::write_string;

pub(super) fn defined(value: &Value) -> Result<(), Error> {
    // The engine's own error knows where in the template the value came from.
    if value.is_undefined() { value.get_attr("").map(drop) } else { Ok(()) }
}

/// A value as JSON, to the byte as serde_json writes it. (Texts of a trace are long, and serde_json escapes byte by byte.)
pub(super) fn json_text(value: &Value) -> Result<String, Error> {
    let unwritten = |error: String| Error::new(ErrorKind::BadSerialization, error);
    let mut out = Vec::new();
    write_json(&mut out, value).map_err(|error| unwritten(error.to_string()))?;
    String::from_utf8(out).map_err(|error| unwritten(error.to_string()))
}

fn write_json(out: &mut Vec<u8>, value: &Value) -> Result<(), serde_json::Error> {
    let object = value.as_object();
    match (value.kind(), value.as_str(), object.map(DynObject::repr)) {
        (ValueKind::String, Some(text), _) => write_string(out, text),
        (_, _, Some(ObjectRepr::Map)) => {
            let pairs: Vec<_> = object.and_then(DynObject::try_iter_pairs).into_iter().flatten().collect();
            if pairs.iter().any(|(key, _)| key.kind() != ValueKind::String) {
                return serde_json::to_writer(out, value);
            }
            let mut opening = b'{';
            for (key, item) in &pairs {
                out.push(std::mem::replace(&mut opening, b','));
                write_string(out, key.as_str().unwrap_or_default());
                out.push(b':');
                write_json(out, item)?;
            }
            out.extend_from_slice(if pairs.is_empty() { b"{}" } else { b"}" });
        }
        (_, _, Some(ObjectRepr::Seq)) => {
            out.push(b'[');
            for (at, item) in object.and_then(DynObject::try_iter).into_iter().flatten().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_json(out, &item)?;
            }
            out.push(b']');
        }
        _ => serde_json::to_writer(out, value)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_what_serde_json_writes() {
        for json in [
            json!(null),
            json!("a\u{1}\"\n\u{2028}"),
            json!({}),
            json!([]),
            json!({"b": [1, -2, 1.5, 1e300, true, null, "x\\"], "a": {"": {}, "\u{e9}\"": [[], [{}]]}, "n": u64::MAX}),
        ] {
            let value = Value::from(minijinja::value::Serde(&json));
            assert_eq!(json_text(&value).unwrap(), serde_json::to_string(&value).unwrap());
            assert_eq!(json_text(&value).unwrap(), json.to_string());
        }
        // Of the engine's own making.
        let own: Vec<Value> = vec![
            Value::UNDEFINED,
            Value::from_bytes(b"xy".to_vec()),
            Value::from_safe_string("<b>".to_owned()),
            Value::from_pairs([(Value::from(1), Value::from("one"))]),
            Value::make_iterable(|| ["a", "b"].into_iter()),
        ];
        for value in own {
            assert_eq!(json_text(&value).ok(), serde_json::to_string(&value).ok(), "{value:?}");
        }
    }
}
