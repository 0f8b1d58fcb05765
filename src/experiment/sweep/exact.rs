//! JSON values in which every `f64` keeps its value: NaN and infinities, which JSON does not have,
//! are objects such as `{"$f64":"inf"}`.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};
use serde::ser::{self, Error as _, Serialize, SerializeMap};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::{Error, Map, Value, json};

type Result<T> = std::result::Result<T, Error>;

/// The name that stands for a number that is not finite; no other entry may have it.
const NAME: &str = "$f64";

/// Returns the JSON value of anything.
pub(super) fn to_value(value: &(impl Serialize + ?Sized)) -> Result<Value> {
    value.serialize(Exact)
}

/// Reads anything back from its JSON value.
pub(super) fn from_value<R: DeserializeOwned>(value: Value) -> Result<R> {
    R::deserialize(Written(value))
}

/// As `serde_json::value::Serializer`, except for numbers that are not finite.
struct Exact;

/// Passes on types that hold no other value.
macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<Value> {
            serde_json::value::Serializer.$method(value)
        }
    )*};
}

impl ser::Serializer for Exact {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    scalars! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_char: char,
        serialize_str: &str, serialize_bytes: &[u8], serialize_unit_struct: &'static str
    }

    fn serialize_f32(self, value: f32) -> Result<Value> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<Value> {
        let known = value.is_finite();
        Ok(if known { value.into() } else { json!({ NAME: value.to_string() }) })
    }

    fn serialize_none(self) -> Result<Value> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value> {
        to_value(value)
    }

    fn serialize_unit(self) -> Result<Value> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &str, _: u32, variant: &str) -> Result<Value> {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &str, value: &T) -> Result<Value> {
        to_value(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value> {
        of_variant(Some(variant), to_value(value)?)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List> {
        Ok(List { variant: None, items: Vec::new() })
    }

    fn serialize_tuple(self, _: usize) -> Result<List> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &str, _: usize) -> Result<List> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List> {
        Ok(List { variant: Some(variant), items: Vec::new() })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries> {
        Ok(Entries { variant: None, entries: Map::new(), name: String::new() })
    }

    fn serialize_struct(self, _: &str, _: usize) -> Result<Entries> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Entries> {
        Ok(Entries { variant: Some(variant), entries: Map::new(), name: String::new() })
    }
}

/// The value of a variant of an enum, under its name; any other value as it is.
fn of_variant(variant: Option<&'static str>, value: Value) -> Result<Value> {
    match variant {
        Some(NAME) => Err(reserved()),
        Some(name) => Ok(json!({ name: value })),
        None => Ok(value),
    }
}

fn reserved() -> Error {
    Error::custom(format!("the name {NAME:?} is reserved for NaN and infinities"))
}

struct List {
    variant: Option<&'static str>,
    items: Vec<Value>,
}

/// Implements the traits of what is a list in JSON.
macro_rules! lists {
    ($($trait:ident::$method:ident),*) => {$(
        impl ser::$trait for List {
            type Ok = Value;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.items.push(to_value(value)?);
                Ok(())
            }

            fn end(self) -> Result<Value> {
                of_variant(self.variant, self.items.into())
            }
        }
    )*};
}

lists! {
    SerializeSeq::serialize_element, SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field, SerializeTupleVariant::serialize_field
}

struct Entries {
    variant: Option<&'static str>,
    entries: Map<String, Value>,
    /// The name of the next entry.
    name: String,
}

impl Entries {
    fn insert<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        if name == NAME {
            return Err(reserved());
        }
        self.entries.insert(name.to_owned(), to_value(value)?);
        Ok(())
    }
}

impl ser::SerializeMap for Entries {
    type Ok = Value;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        // As JSON has it: numbers as keys are texts.
        let mut map = ser::Serializer::serialize_map(serde_json::value::Serializer, None)?;
        map.serialize_entry(key, &())?;
        let map = SerializeMap::end(map)?;
        let name = map.as_object().and_then(|map| map.keys().next());
        self.name = name.cloned().unwrap_or_default();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let name = std::mem::take(&mut self.name);
        self.insert(&name, value)
    }

    fn end(self) -> Result<Value> {
        of_variant(self.variant, self.entries.into())
    }
}

/// Implements the traits of what has named fields.
macro_rules! structs {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Entries {
            type Ok = Value;
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<()> {
                self.insert(name, value)
            }

            fn end(self) -> Result<Value> {
                of_variant(self.variant, self.entries.into())
            }
        }
    )*};
}

structs!(SerializeStruct, SerializeStructVariant);

/// What [`Exact`] wrote.
struct Written(Value);

impl Written {
    /// The number that JSON does not have.
    fn special(entries: &Map<String, Value>) -> Option<f64> {
        entries.get(NAME)?.as_str()?.parse().ok()
    }
}

impl<'de> Deserializer<'de> for Written {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.0 {
            Value::Array(items) => {
                SeqDeserializer::new(items.into_iter().map(Written)).deserialize_any(visitor)
            }
            Value::Object(entries) => match Self::special(&entries) {
                Some(number) => visitor.visit_f64(number),
                None => map(entries).deserialize_any(visitor),
            },
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.0 {
            Value::Object(entries) if entries.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(map(entries)))
            }
            other => other.deserialize_enum(name, variants, visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Written {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

type Pairs = std::iter::Map<serde_json::map::IntoIter, fn((String, Value)) -> (Key, Written)>;

fn map<'de>(entries: Map<String, Value>) -> MapDeserializer<'de, Pairs, Error> {
    MapDeserializer::new(entries.into_iter().map(|(name, value)| (Key(name), Written(value))))
}

/// The name of an entry, which may be a number.
struct Key(String);

/// Reads numbers from texts.
macro_rules! parsed {
    ($($method:ident: $visit:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => visitor.visit_string(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key {
    type Error = Error;

    parsed! {
        deserialize_bool: visit_bool, deserialize_i8: visit_i8, deserialize_i16: visit_i16,
        deserialize_i32: visit_i32, deserialize_i64: visit_i64, deserialize_i128: visit_i128,
        deserialize_u8: visit_u8, deserialize_u16: visit_u16, deserialize_u32: visit_u32,
        deserialize_u64: visit_u64, deserialize_u128: visit_u128, deserialize_f32: visit_f32,
        deserialize_f64: visit_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Key {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    /// Every kind of value that serde knows.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Unit,
        Number(f64),
        Pair(f64, Option<f32>),
        Fields { x: f64, list: Vec<f64>, by_number: BTreeMap<i64, f64>, word: String, none: () },
        Nested(Box<Kind>),
        Wrapped(Wrapped),
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Option<f64>);

    fn numbers() -> impl Strategy<Value = f64> {
        prop_oneof![any::<f64>(), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::NAN)]
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        let fields = (numbers(), prop::collection::vec(numbers(), 0..3));
        let by_number = prop::collection::btree_map(any::<i64>(), numbers(), 0..3);
        prop_oneof![
            Just(Kind::Unit),
            numbers().prop_map(Kind::Number),
            (numbers(), prop::option::of(any::<f32>())).prop_map(|(x, y)| Kind::Pair(x, y)),
            (fields, by_number, any::<String>()).prop_map(|((x, list), by_number, word)| {
                Kind::Fields { x, list, by_number, word, none: () }
            }),
            numbers().prop_map(|x| Kind::Nested(Box::new(Kind::Number(x)))),
            prop::option::of(numbers()).prop_map(|x| Kind::Wrapped(Wrapped(x))),
        ]
    }

    proptest! {
        /// Through text, and with a NaN equal to itself.
        #[test]
        fn everything_reads_back(kind in kinds()) {
            let text = to_value(&kind).unwrap().to_string();
            let found: Kind = from_value(serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert_eq!(format!("{found:?}"), format!("{kind:?}"));
        }

        /// What JSON can say is said as serde_json says it.
        #[test]
        fn finite_values_are_plain_json(kind in kinds()) {
            let value = to_value(&kind).unwrap();
            if !value.to_string().contains(NAME) {
                prop_assert_eq!(value, serde_json::to_value(&kind).unwrap());
            }
        }
    }

    #[test]
    fn the_reserved_name_is_refused() {
        let error = to_value(&BTreeMap::from([(NAME, 1)])).unwrap_err().to_string();
        assert_eq!(error, "the name \"$f64\" is reserved for NaN and infinities");
    }
}
