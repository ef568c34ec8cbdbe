//! Closed sets of words: enums whose variants the API, the store and people write alike.
//!
//! Owns how such an enum is declared. It knows none of the words.

/// Declares an enum together with `ALL`, `as_str`, and its text and JSON forms, which are the word.
macro_rules! words {
    ($(#[$of_type:meta])* $name:ident: $($variant:ident $text:literal => $about:literal;)*) => {
        $(#[$of_type])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $(#[doc = $about] $variant,)* }

        impl $name {
            /// Every one, in the order of the enum.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word used in the API and in the store.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> ::std::result::Result<Self, ()> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or(())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                let text = <::std::borrow::Cow<'_, str> as ::serde::Deserialize>::deserialize(
                    deserializer,
                )?;
                text.parse().map_err(|()| {
                    let known = Self::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>();
                    let message = format!("{text:?} is none of {}", known.join(", "));
                    ::serde::de::Error::custom(message)
                })
            }
        }
    };
}

pub(crate) use words;
