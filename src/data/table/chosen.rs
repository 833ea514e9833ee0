//! Selects the columns of a table by the names in its header.

use super::ColumnSpec;
use crate::error::{Error, Result, listed, quoted};

/// The selected columns.
pub(super) struct Chosen {
    /// Names: features first, then columns that are only forecast.
    pub names: Vec<String>,
    pub places: Vec<usize>,
    /// Number of features.
    pub features: usize,
    /// Indices of the targets.
    pub targets: Vec<usize>,
    pub series: Option<usize>,
    pub time: Option<usize>,
    /// Notes on columns left out.
    pub notes: Vec<String>,
}

/// A table's header, for looking up names.
struct Header<'a> {
    file: &'a str,
    names: &'a [String],
    by_model: bool,
}

impl Header<'_> {
    /// The index of a column that a flag or a model names.
    fn find(&self, flag: &str, name: &str) -> Result<usize> {
        let mut places = (0..self.names.len()).filter(|i| self.names[*i] == *name);
        match (places.next(), places.next()) {
            (Some(at), None) => Ok(at),
            (Some(first), Some(second)) => Err(self.twice(first, second, "give each a name of its own")),
            (None, _) => {
                let who = if self.by_model { format!("the model needs ({flag})") } else { format!("`{flag}` names") };
                let commas = self.names.iter().find(|n| n.contains(','));
                let how = match commas.filter(|_| !self.by_model) {
                    Some(n) => format!("; a name that holds a comma stands in double quotes: `{flag}` '\"{}\"'", listed(std::slice::from_ref(n))),
                    None => String::new(),
                };
                let names: Vec<String> = self.names.iter().filter(|n| !n.is_empty()).cloned().collect();
                Err(Error::Input(format!("{} has no column {}, which {who}; its columns are {}{how}", self.file, quoted(name), listed(&names))))
            }
        }
    }

    fn twice(&self, first: usize, second: usize, way: &str) -> Error {
        Error::Input(format!("{}: columns {} and {} are both called {}; {way}", self.file, first + 1, second + 1, quoted(&self.names[first])))
    }

    /// Default features: all named columns but those in `left_out`.
    fn all_but(&self, left_out: &[usize]) -> Result<Vec<usize>> {
        let places: Vec<usize> = (0..self.names.len()).filter(|i| !left_out.contains(i) && !self.names[*i].is_empty()).collect();
        for (i, at) in places.iter().enumerate() {
            if let Some(first) = places[..i].iter().find(|p| self.names[**p] == self.names[*at]) {
                return Err(self.twice(*first, *at, "give each a name of its own, or leave them out by `ignore`"));
            }
        }
        Ok(places)
    }
}

impl Chosen {
    /// Finds the requested columns.
    ///
    /// # Errors
    /// [`Error::Input`] if the table lacks a column or has it twice; [`Error::Usage`] if flags contradict each other.
    pub(super) fn of(file: &str, names: &[String], asked: &ColumnSpec) -> Result<Self> {
        let header = Header { file, names, by_model: asked.by_model };
        let one = |flag: &str, name: &Option<String>| name.as_ref().map(|n| header.find(flag, n)).transpose();
        let (series, time) = (one("series", &asked.series)?, one("time", &asked.time)?);
        asked.check_lists(file, names)?;
        let mut left_out: Vec<usize> = series.into_iter().chain(time).collect();
        for name in &asked.ignored {
            // Ignores every column of that name.
            let same: Vec<usize> = (0..names.len()).filter(|i| names[*i] == *name).collect();
            match same.first() {
                Some(_) => left_out.extend(same),
                None => drop(header.find("ignore", name)?),
            }
        }
        let mut places = match &asked.features {
            Some(names) => names.iter().map(|n| header.find("features", n)).collect::<Result<Vec<_>>>()?,
            None => header.all_but(&left_out)?,
        };
        let features = places.len();
        let wanted = asked.targets.iter().map(|n| header.find("target", n)).collect::<Result<Vec<_>>>()?;
        if series.is_some() && series == time {
            return Err(both(&asked.series.clone().unwrap_or_default(), "series", "time"));
        }
        for (flag, at) in places.iter().map(|p| ("features", p)).chain(wanted.iter().map(|p| ("target", p))) {
            let other = [("series", Some(*at) == series), ("time", Some(*at) == time), ("ignore", asked.ignored.contains(&names[*at]))];
            if let Some((other, _)) = other.into_iter().find(|o| o.1) {
                return Err(both(&names[*at], flag, other));
            }
        }
        for at in &wanted {
            if !places.contains(at) {
                places.push(*at);
            }
        }
        let targets = wanted.iter().filter_map(|at| places.iter().position(|p| p == at)).collect();
        let mut notes = Vec::new();
        let nameless: Vec<String> = (0..names.len()).filter(|i| names[*i].is_empty()).map(|i| (i + 1).to_string()).collect();
        if asked.features.is_none() && !nameless.is_empty() {
            notes.push(match &nameless[..] {
                [one] => format!("column {one} has no name and is left out"),
                many => format!("columns {} have no name and are left out", listed(many)),
            });
        }
        Ok(Chosen { names: places.iter().map(|p| names[*p].clone()).collect(), places, features, targets, series, time, notes })
    }
}

fn both(name: &str, flag: &str, other: &str) -> Error {
    Error::Usage(format!("column {} is named by `{flag}` and by `{other}`; a column is one or the other", quoted(name)))
}

impl ColumnSpec {
    /// Checks that lists of columns are not empty and have no duplicates.
    fn check_lists(&self, file: &str, header: &[String]) -> Result<()> {
        for (flag, names) in [("target", Some(&self.targets)), ("features", self.features.as_ref()), ("ignore", Some(&self.ignored))] {
            let names = names.map_or(&[][..], |n| n);
            if names.is_empty() && (flag == "target" || flag == "features" && self.features.is_some()) {
                return Err(Error::Usage(format!("`{flag}` names no column; {file} has {}", listed(header))));
            }
            if let Some(twice) = (0..names.len()).find(|i| names[..*i].contains(&names[*i])) {
                return Err(Error::Usage(format!("`{flag}` names column {} twice; name it once", quoted(&names[twice]))));
            }
        }
        Ok(())
    }
}
