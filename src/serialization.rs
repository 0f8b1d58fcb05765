//! Configurations that cannot be read back wrong: fields are checked as constructors check them,
//! and activations, which have none, go by their names.

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

/// Implements `Serialize` and `Deserialize` for a type without fields, as its name.
macro_rules! serialize_by_name {
    ($($type:ident),*) => {$(
        #[cfg(feature = "serde")]
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(stringify!($type))
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'_, str>>::deserialize(from)?;
                if name == stringify!($type) {
                    return Ok($type);
                }
                let expected = concat!("the activation ", stringify!($type));
                Err(serde::de::Error::custom(format!("{name} is not {expected}")))
            }
        }
    )*};
}

pub(crate) use {deserialize_checked, serialize_by_name};
