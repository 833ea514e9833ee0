//! A setting is declared once, by `settings!`: its field, type, default, bounds and help. Its key in a file, its flag and its line in docs/settings.md
//! come from there.

use crate::error::{Error, Result};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
pub use toml::Value;

/// The word of a setting that stands for leaving it out.
pub const AUTO: &str = "auto";

/// How a value is given on a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The flag stands for `true`.
    Switch,
    /// The flag is followed by a value.
    Value,
    /// The flag alone stands for this, or has a value after `=`.
    Optional(&'static str),
    /// No flag: what the program notes of a run.
    Noted,
}

/// What the declaration of a setting says.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The field. With dashes it is the key of a file and the flag.
    pub name: &'static str,
    /// Under which flags and docs list it.
    pub section: &'static str,
    /// The lines of its help.
    pub help: &'static [&'static str],
    /// What stands for its value in help.
    pub value: &'static str,
    /// All values, where they are few.
    pub choices: &'static [&'static str],
    /// How it is given.
    pub form: Form,
    /// The flag, where it is not the name with dashes.
    pub flag: &'static str,
    /// Whether it may change when a run goes on: what is trained does not depend on it.
    pub free: bool,
    /// Whether it may be absent.
    pub optional: bool,
    /// Whether files of runs may lack it, which were begun before it was a setting: its default is meant then.
    pub later: bool,
    /// Whether the word `auto` stands for leaving it out: its default depends on the data.
    pub auto: bool,
    /// Settings that can't be given together with it.
    pub excludes: &'static [&'static str],
    /// Settings of a file that are set aside where this one is given by a flag.
    pub sets_aside: &'static [&'static str],
    /// What is done with a word of the command line before it is read.
    pub word: fn(&str) -> std::result::Result<String, String>,
    /// Reads a word of the command line, within bounds.
    pub parse: fn(&str) -> std::result::Result<Value, String>,
}

impl Setting {
    /// What a type and the place of a declaration say.
    pub(crate) const fn of<T: SettingType>(name: &'static str, section: &'static str, value: &'static str, help: &'static [&'static str]) -> Self {
        let form = if T::SWITCH { Form::Switch } else { Form::Value };
        let (word, parse) = (as_it_is as fn(&str) -> _, no_value as fn(&str) -> _);
        Setting {
            name,
            section,
            help,
            value,
            choices: T::CHOICES,
            form,
            flag: "",
            free: false,
            optional: T::OPTIONAL,
            later: T::SWITCH,
            auto: false,
            excludes: &[],
            sets_aside: &[],
            word,
            parse,
        }
    }

    /// The key of a file.
    pub fn key(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The flag, without its dashes.
    pub fn flag(&self) -> String {
        if self.flag.is_empty() { self.key() } else { self.flag.to_string() }
    }

    /// Reads a word of the command line.
    ///
    /// # Errors
    /// What is expected.
    pub fn read(&self, word: &str) -> std::result::Result<Value, String> {
        if self.auto && word == AUTO {
            return Ok(Value::String(AUTO.to_string()));
        }
        (self.word)(word).and_then(|word| (self.parse)(&word))
    }

    /// Whether a value stands for leaving it out.
    pub(crate) fn is_auto(&self, value: Option<&Value>) -> bool {
        self.auto && value.and_then(Value::as_str) == Some(AUTO)
    }

    /// All values, where they are few.
    pub fn all(&self) -> Vec<&'static str> {
        self.choices.iter().copied().chain(self.auto.then_some(AUTO)).collect()
    }

    /// Its help, on one line.
    pub fn text(&self) -> String {
        self.help.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }
}

fn as_it_is(word: &str) -> std::result::Result<String, String> {
    Ok(word.to_string())
}

fn no_value(_: &str) -> std::result::Result<Value, String> {
    Err("it can't be set".to_string())
}

/// A setting of `S`.
pub struct Field<S: 'static> {
    /// Its declaration.
    pub setting: Setting,
    /// Its value; none where there is none.
    pub get: fn(&S) -> std::result::Result<Option<Value>, String>,
    /// Sets it to a value within bounds; to none, where it may be.
    pub put: fn(&mut S, Option<&Value>) -> std::result::Result<(), String>,
    /// Whether its value is within bounds.
    pub check: fn(&S) -> std::result::Result<(), String>,
}

/// A type that a setting may have.
pub trait SettingType: Sized {
    /// The type without [`Option`].
    type Inner;
    /// Whether it is on or off.
    const SWITCH: bool = false;
    /// Whether it may be absent.
    const OPTIONAL: bool = false;
    /// All values, where they are few.
    const CHOICES: &'static [&'static str] = &[];
    /// From a value.
    fn of(inner: Self::Inner) -> Self;
    /// The value, if there is one.
    fn inner(&self) -> Option<&Self::Inner>;
    /// As a file has it.
    ///
    /// # Errors
    /// Where a file can't hold it.
    fn write(inner: &Self::Inner) -> std::result::Result<Value, String>;
    /// From a file; none, where it may be absent.
    ///
    /// # Errors
    /// What is expected.
    fn read(value: Option<&Value>) -> std::result::Result<Self, String>;
    /// From a word.
    ///
    /// # Errors
    /// What is expected.
    fn parse(word: &str) -> std::result::Result<Value, String>;
}

const MISSING: &str = "it is missing";

/// Whole numbers: TOML's have 63 bits.
macro_rules! whole {
    ($($T:ty),*) => { $(impl SettingType for $T {
        type Inner = Self;
        fn of(inner: Self) -> Self {            inner        }        fn inner(&self) -> Option<&Self> {
            Some(self)
        }
        fn write(n: &Self) -> std::result::Result<Value, String> {
            i64::try_from(*n).map(Value::Integer).map_err(|_| format!("{n} is above {}, the largest number that a file holds", i64::MAX))
        }
        fn read(value: Option<&Value>) -> std::result::Result<Self, String> {
            let n = value.ok_or(MISSING)?.as_integer().and_then(|n| Self::try_from(n).ok());
            n.ok_or_else(|| format!("expected a whole number from 0 to {}", Self::MAX.min(i64::MAX as Self)))
        }
        fn parse(word: &str) -> std::result::Result<Value, String> {
            let n = word.parse::<i128>().map_err(|_| "expected a whole number")?;
            let n = Self::try_from(n).ok().and_then(|n| i64::try_from(n).ok());
            n.map(Value::Integer).ok_or_else(|| format!("expected a whole number from 0 to {}", Self::MAX.min(i64::MAX as Self)))
        }
    })* };
}
whole!(u32, u64);

impl SettingType for f64 {
    type Inner = Self;
    fn of(inner: Self) -> Self {
        inner
    }
    fn inner(&self) -> Option<&Self> {
        Some(self)
    }
    fn write(x: &Self) -> std::result::Result<Value, String> {
        if x.is_finite() { Ok(Value::Float(*x)) } else { Err("expected a finite number".to_string()) }
    }
    fn read(value: Option<&Value>) -> std::result::Result<Self, String> {
        let value = value.ok_or(MISSING)?;
        let x = value.as_float().or(value.as_integer().map(|n| n as f64)).ok_or("expected a number")?;
        Self::write(&x).map(|_| x)
    }
    fn parse(word: &str) -> std::result::Result<Value, String> {
        word.parse::<f64>().map_err(|_| "expected a finite number".to_string()).and_then(|x| Self::write(&x))
    }
}

impl SettingType for bool {
    type Inner = Self;
    const SWITCH: bool = true;
    fn of(inner: Self) -> Self {
        inner
    }
    fn inner(&self) -> Option<&Self> {
        Some(self)
    }
    fn write(on: &Self) -> std::result::Result<Value, String> {
        Ok(Value::Boolean(*on))
    }
    fn read(value: Option<&Value>) -> std::result::Result<Self, String> {
        value.map_or(Ok(false), |v| v.as_bool().ok_or_else(|| "expected true or false".to_string()))
    }
    fn parse(word: &str) -> std::result::Result<Value, String> {
        word.parse().map(Value::Boolean).map_err(|_| "expected true or false".to_string())
    }
}

/// Implements [`SettingType`] for a type by its [`FromStr`] and [`Display`].
macro_rules! written_as_text {
    ($($T:ty $([$choices:expr])?),* $(,)?) => { $(impl $crate::setting::SettingType for $T {
        type Inner = Self;
        $(const CHOICES: &'static [&'static str] = $choices;)?
        fn of(inner: Self) -> Self {            inner        }        fn inner(&self) -> Option<&Self> {
            Some(self)
        }
        /// A value that could not be read back as it is, is none that is possible.
        fn write(value: &Self) -> std::result::Result<$crate::setting::Value, String> {
            let text = value.to_string();
            match text.parse::<Self>() {
                Ok(read) if read == *value => Ok($crate::setting::Value::String(text)),
                Ok(read) => Err(format!("it would be read back as {read}")),
                Err(e) => Err(e.to_string()),
            }
        }
        fn read(value: Option<&$crate::setting::Value>) -> std::result::Result<Self, String> {
            $crate::setting::read_text(value)
        }
        fn parse(word: &str) -> std::result::Result<$crate::setting::Value, String> {
            $crate::setting::read_text::<Self>(Some(&$crate::setting::Value::String(word.to_string()))).and_then(|v| Self::write(&v))
        }
    })* };
}
pub(crate) use written_as_text;
written_as_text!(String, char);

/// Reads a text in quotes.
pub(crate) fn read_text<T: FromStr<Err: Display>>(value: Option<&Value>) -> std::result::Result<T, String> {
    let text = value.ok_or(MISSING)?.as_str().ok_or("expected a text in quotes")?;
    text.parse().map_err(|e: T::Err| e.to_string())
}

impl SettingType for PathBuf {
    type Inner = Self;
    fn of(inner: Self) -> Self {
        inner
    }
    fn inner(&self) -> Option<&Self> {
        Some(self)
    }
    fn write(path: &Self) -> std::result::Result<Value, String> {
        path.to_str()
            .map(|p| Value::String(p.to_string()))
            .ok_or_else(|| "the path is not UTF-8, so a run could not find the file again; rename it".to_string())
    }
    fn read(value: Option<&Value>) -> std::result::Result<Self, String> {
        value.ok_or(MISSING)?.as_str().map(PathBuf::from).ok_or_else(|| "expected a path in quotes".to_string())
    }
    fn parse(word: &str) -> std::result::Result<Value, String> {
        Ok(Value::String(word.to_string()))
    }
}

impl<T: SettingType<Inner = T>> SettingType for Option<T> {
    type Inner = T;
    const SWITCH: bool = T::SWITCH;
    const OPTIONAL: bool = true;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    fn of(inner: T) -> Self {
        Some(inner)
    }
    fn inner(&self) -> Option<&T> {
        self.as_ref()
    }
    fn write(inner: &T) -> std::result::Result<Value, String> {
        T::write(inner)
    }
    fn read(value: Option<&Value>) -> std::result::Result<Self, String> {
        value.map(|v| T::read(Some(v))).transpose()
    }
    fn parse(word: &str) -> std::result::Result<Value, String> {
        T::parse(word)
    }
}

/// That a value is within bounds.
pub(crate) fn within<T: SettingType>(value: &T, bound: fn(&T::Inner) -> std::result::Result<(), String>) -> std::result::Result<(), String> {
    value.inner().map_or(Ok(()), |inner| bound(inner).and_then(|()| T::write(inner).map(drop)))
}

/// Declares a struct of settings:
///
/// ```text
/// /// Help, which is the field's documentation too
/// name: Type = default, "Section", "VALUE", bound { attributes of Setting };
/// ```
///
/// `bound` is a function of the value that says what is expected of it.
macro_rules! settings {
    ($(#[$outer:meta])* pub struct $Name:ident { $(
        $(#[doc = $doc:literal])+
        $field:ident: $T:ty = $default:expr, $section:literal, $value:literal, $bound:path { $($attribute:ident: $set:expr),* };
    )* } $(and $(#[doc = $and_doc:literal])+ $and:ident: $And:ty)?) => {
        $(#[$outer])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct $Name {
            $( $(#[doc = $doc])+ pub $field: $T, )*
            $( $(#[doc = $and_doc])+ pub $and: $And, )?
        }

        impl Default for $Name {
            fn default() -> Self {
                $Name { $($field: $default,)* $($and: <$And>::default(),)? }
            }
        }

        impl $Name {
            /// Their declarations, in their order.
            pub(crate) const FIELDS: &'static [$crate::setting::Field<$Name>] = &[$($crate::setting::Field {
                setting: $crate::setting::Setting {
                    parse: |word| <$T as $crate::setting::SettingType>::parse(word).and_then(|v| {
                        let read = <$T as $crate::setting::SettingType>::read(Some(&v))?;
                        $crate::setting::within::<$T>(&read, $bound).map(|()| v)
                    }),
                    $($attribute: $set,)*
                    ..$crate::setting::Setting::of::<$T>(stringify!($field), $section, $value, &[$($doc),+])
                },
                get: |s| $crate::setting::SettingType::inner(&s.$field).map(<$T as $crate::setting::SettingType>::write).transpose(),
                put: |s, value| {
                    let read = <$T as $crate::setting::SettingType>::read(value)?;
                    $crate::setting::within::<$T>(&read, $bound)?;
                    s.$field = read;
                    Ok(())
                },
                check: |s| $crate::setting::within::<$T>(&s.$field, $bound),
            }),*];

            $(
                $(#[doc = $doc])+
                #[must_use]
                pub fn $field(mut self, $field: <$T as $crate::setting::SettingType>::Inner) -> Self {
                    self.$field = $crate::setting::SettingType::of($field);
                    self
                }
            )*

            $(
                $(#[doc = $and_doc])+
                #[must_use]
                pub fn $and(mut self, $and: $And) -> Self {
                    self.$and = $and;
                    self
                }
            )?
        }
    };
}
pub(crate) use settings;

/// That every value of a struct is within its bounds.
///
/// # Errors
/// [`Error::Setting`] for the first that is not.
pub(crate) fn check_all<S>(settings: &S, fields: &[Field<S>]) -> Result<()> {
    for field in fields {
        (field.check)(settings).map_err(|expected| {
            let shown = (field.get)(settings).ok().flatten().map_or(String::new(), |v| format!(" is {}", shown(&v)));
            Error::setting(field.setting.name, format!("`{}`{shown}; {expected}", field.setting.name))
        })?;
    }
    Ok(())
}

/// A value for people: a text without its quotes.
pub(crate) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |s| s.escape_debug().to_string())
}

/// Anything.
pub(crate) fn any<T>(_: &T) -> std::result::Result<(), String> {
    Ok(())
}

/// At least 1.
pub(crate) fn at_least_1<T: Copy + Into<u64>>(n: &T) -> std::result::Result<(), String> {
    if (*n).into() > 0 { Ok(()) } else { Err("expected a whole number, 1 or more".to_string()) }
}

/// Above 0, as an f32 too.
pub(crate) fn positive(x: &f64) -> std::result::Result<(), String> {
    let single = *x as f32;
    if single > 0.0 && single.is_finite() { Ok(()) } else { Err("expected a number above 0 that an f32 holds".to_string()) }
}

/// 0 or above, as an f32 too.
pub(crate) fn not_negative(x: &f64) -> std::result::Result<(), String> {
    let single = *x as f32;
    if *x == 0.0 || (single > 0.0 && single.is_finite()) { Ok(()) } else { Err("expected 0 or a number above 0 that an f32 holds".to_string()) }
}

/// From 0 to below 1.
pub(crate) fn part(x: &f64) -> std::result::Result<(), String> {
    if (0.0..1.0).contains(x) { Ok(()) } else { Err("expected a number from 0 to below 1".to_string()) }
}

/// At least one character.
#[allow(clippy::ptr_arg)] // a function of the setting's own type
pub(crate) fn not_empty(text: &String) -> std::result::Result<(), String> {
    if text.is_empty() { Err("expected at least one character".to_string()) } else { Ok(()) }
}

/// Names the values of an enum as files and command lines have them.
macro_rules! choices {
    ($T:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $T {
            /// As files and the command line have it.
            pub fn name(self) -> &'static str {
                match self {
                    $($T::$variant => $name),*
                }
            }
        }

        impl std::fmt::Display for $T {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $T {
            type Err = String;

            fn from_str(text: &str) -> std::result::Result<Self, String> {
                match text {
                    $($name => Ok($T::$variant),)*
                    _ => Err(format!("unknown value `{text}`, expected one of {}", [$($name),*].join(", "))),
                }
            }
        }

        $crate::setting::written_as_text!($T [&[$($name),*]]);
    };
}
pub(crate) use choices;
