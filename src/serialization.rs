//! Serialisation of configurations and results: fields are checked as in constructors, and
//! infinities are words.

/// Implements `Deserialize` for a type whose fields have to be checked.
macro_rules! deserialize_checked {
    ($type:ident { $($field:ident: $kind:ty),* }, $check:expr) => {
        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Fields { $($field: $kind),* }
                let Fields { $($field),* } = Fields::deserialize(from)?;
                let check: fn($($kind),*) -> crate::Result<Self> = $check;
                check($($field),*).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A number that may be infinite, which JSON cannot say: in a text it is `inf` or `-inf` then.
#[cfg(feature = "serde")]
pub(crate) struct Extended(pub f64);

#[cfg(feature = "serde")]
impl serde::Serialize for Extended {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0.is_infinite() && to.is_human_readable() {
            to.collect_str(&self.0)
        } else {
            to.serialize_f64(self.0)
        }
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Extended {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged, expecting = "expected a number, \"inf\" or \"-inf\"")]
        enum Written {
            Number(f64),
            Word(Infinity),
        }
        #[derive(serde::Deserialize)]
        enum Infinity {
            #[serde(rename = "inf")]
            Positive,
            #[serde(rename = "-inf")]
            Negative,
        }
        if !from.is_human_readable() {
            return f64::deserialize(from).map(Self);
        }
        Ok(Self(match Written::deserialize(from)? {
            Written::Number(number) => number,
            Written::Word(Infinity::Positive) => f64::INFINITY,
            Written::Word(Infinity::Negative) => f64::NEG_INFINITY,
        }))
    }
}

/// Writes a list of [`Extended`] numbers.
#[cfg(feature = "serde")]
pub(crate) fn list<S: serde::Serializer>(numbers: &[f64], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(numbers.iter().map(|&number| Extended(number)))
}

/// Writes an [`Extended`] number, if there is one.
#[cfg(feature = "serde")]
pub(crate) fn option<S: serde::Serializer>(number: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&number.map(Extended), to)
}

pub(crate) use deserialize_checked;

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::Extended;
    use serde::de::value::{Error, F64Deserializer, StrDeserializer};
    use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
    use serde::{Deserialize, forward_to_deserialize_any};

    /// A number in a format that does not say what comes next.
    struct Binary(f64);

    impl<'de> Deserializer<'de> for Binary {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom("who knows"))
        }

        fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_f64(self.0)
        }

        fn is_human_readable(&self) -> bool {
            false
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 char str string bytes byte_buf option
            unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
            ignored_any
        }
    }

    #[test]
    fn infinities_are_words_in_texts_alone() {
        let read = |Extended(number)| number;
        let number: F64Deserializer<Error> = 0.1.into_deserializer();
        assert_eq!(Extended::deserialize(number).map(read), Ok(0.1));
        let word = |word: &'static str| -> StrDeserializer<'_, Error> { word.into_deserializer() };
        assert_eq!(Extended::deserialize(word("inf")).map(read), Ok(f64::INFINITY));
        assert_eq!(Extended::deserialize(word("-inf")).map(read), Ok(f64::NEG_INFINITY));
        assert!(Extended::deserialize(word("infinity")).is_err());
        assert_eq!(Extended::deserialize(Binary(f64::INFINITY)).map(read), Ok(f64::INFINITY));
    }
}
