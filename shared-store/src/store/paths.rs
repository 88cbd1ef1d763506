//! Changing and watching parts of an atom's value.
//!
//! They work on the stored JSON, so a build changes only what it knows, and keeps what a later build has added.

use abi_stable::std_types::ROption;
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};

use super::{Intercept, Listening, Store};
use crate::{
    Atom, StoreError,
    api::Snapshot,
    atom::{AtomValue, decode},
    bytes::{Incoming, Tree, Wiped, encode},
    error::from_provider,
    source::{Kind, Node, Sealed},
};

/// A stored value and its epoch; `None` before the first write.
type Stored = (u64, Option<Incoming>);

impl Store {
    /// Sets `atom` to `f` of its value; after a concurrent write it calls `f` again, with the new value.
    ///
    /// Members of stored objects that this build's `T` does not have stay as they are, at the same place; objects in
    /// arrays are replaced.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use shared_store::{Atom, Store};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Old { days: u32 }
    /// #[derive(Serialize, Deserialize)]
    /// struct New { days: u32, zone: String }
    /// static OLD: Atom<Old> = Atom::new("range", || Old { days: 30 });
    /// static NEW: Atom<New> = Atom::new("range", || New { days: 30, zone: "UTC".into() });
    ///
    /// let store = Store::new();
    /// store.set(&NEW, &New { days: 30, zone: "CET".into() })?;
    /// store.update(&OLD, |old| Old { days: old.days + 1 })?;
    /// let new = store.get(&NEW)?;
    /// assert_eq!((new.days, new.zone.as_str()), (31, "CET"));
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn update<T: AtomValue>(&self, atom: &'static Atom<T>, f: impl Fn(&T) -> T) -> Result<(), StoreError> {
        let node = Sealed::node(atom, self)?;
        self.replace(&node, |stored| {
            let old = match stored {
                Some(bytes) => decode::<T>(atom.name(), bytes)?,
                None => atom.init(),
            };
            let mut new = f(&old);
            match Self::intercept(&node, &new)? {
                Intercept::Keep => {}
                Intercept::Change(changed) => new = changed,
                Intercept::Veto => return Ok(None),
            }
            if let Some(equal) = atom.equality()
                && self.contain("the equality of an atom", || equal(&old, &new)).unwrap_or(false)
            {
                return Ok(None);
            }
            let encoded = encode(&new).map_err(|e| StoreError::encode(atom.name(), &e))?;
            let Some(stored) = stored else { return Ok(Some(encoded)) };
            if *stored == *encode(&old).map_err(|e| StoreError::encode(atom.name(), &e))? {
                // This build knows everything that is stored.
                return Ok(Some(encoded));
            }
            let merged = merge(atom, stored, &old, &new)?;
            Ok(Some(encode(&merged.0).map_err(|e| StoreError::encode(atom.name(), &e))?))
        })
    }

    /// Sets one member of the object that `atom` holds; the others stay as they are.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use shared_store::{Atom, Store};
    /// static SIZES: Atom<BTreeMap<String, u32>> = Atom::new("sizes", BTreeMap::new);
    ///
    /// let store = Store::new();
    /// let _listening = store.listen_keys(&SIZES, &["width"], |sizes| println!("{sizes:?}"))?;
    /// store.set_key(&SIZES, "height", &30)?; // prints nothing
    /// store.set_key(&SIZES, "width", &40)?; // prints: {"height": 30, "width": 40}
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Decode`], with nothing written, if the result is no `T`; [`StoreError::Path`] if the value is no
    /// object. See [`StoreError`] for others.
    pub fn set_key<T: AtomValue, V: Serialize + ?Sized>(
        &self,
        atom: &'static Atom<T>,
        key: &str,
        value: &V,
    ) -> Result<(), StoreError> {
        self.set_path(atom, &pointer(key), value)
    }

    /// Returns what is at `path` in the JSON of `atom`, and `None` if nothing is.
    ///
    /// `path` is a JSON pointer (RFC 6901). It also reaches what only other builds know.
    ///
    /// ```
    /// use shared_store::{AUTH, Store};
    /// let store = Store::new();
    /// store.set_path(&AUTH, "/user", &serde_json::json!({ "name": "Ada" }))?;
    /// store.set_path(&AUTH, "/user/role", "engineer")?;
    /// assert_eq!(store.get_path::<_, String>(&AUTH, "/user/name")?.as_deref(), Some("Ada"));
    /// assert_eq!(store.get(&AUTH)?.user.as_ref().map(|user| user.role.as_str()), Some("engineer"));
    /// # Ok::<(), shared_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Decode`] if it is no `V`, [`StoreError::Secret`] for a secret atom. See [`StoreError`] for others.
    pub fn get_path<T: AtomValue, V: DeserializeOwned>(
        &self,
        atom: &'static Atom<T>,
        path: &str,
    ) -> Result<Option<V>, StoreError> {
        refuse_secret(atom)?;
        let json = self.json(atom)?;
        let Some(found) = json.pointer(path) else { return Ok(None) };
        V::deserialize(found).map(Some).map_err(|e| StoreError::decode(atom.name(), &e))
    }

    /// Sets what is at `path` in the JSON of `atom`; the rest stays as it is.
    ///
    /// The last part of the pointer is an object's member, which may be new, an array's index, or `-` for a new
    /// element at its end. See [`get_path`](Self::get_path) for an example.
    ///
    /// # Errors
    /// [`StoreError::Decode`], with nothing written, if the result is no `T`; [`StoreError::Path`] if there is no such
    /// place; [`StoreError::Secret`] for a secret atom. See [`StoreError`] for others.
    pub fn set_path<T: AtomValue, V: Serialize + ?Sized>(
        &self,
        atom: &'static Atom<T>,
        path: &str,
        value: &V,
    ) -> Result<(), StoreError> {
        refuse_secret(atom)?;
        let node = Sealed::node(atom, self)?;
        let value = serde_json::to_value(value).map_err(|e| StoreError::encode(atom.name(), &e))?;
        self.replace(&node, |stored| {
            let mut json = parse(atom, stored)?;
            place(&mut json, path, value.clone()).map_err(|message| StoreError::Path {
                atom: atom.name().to_owned(),
                path: path.to_owned(),
                message: message.to_owned(),
            })?;
            let new = encode(&json).map_err(|e| StoreError::encode(atom.name(), &e))?;
            let typed = decode::<T>(atom.name(), &new)?;
            match Self::intercept(&node, &typed)? {
                Intercept::Keep => Ok(Some(new)),
                Intercept::Change(changed) => {
                    encode(&changed).map(Some).map_err(|e| StoreError::encode(atom.name(), &e))
                }
                Intercept::Veto => Ok(None),
            }
        })
    }

    /// Calls `f` with the value when one of these members of the object has changed, until the result is dropped.
    ///
    /// See [`set_key`](Self::set_key) for an example.
    ///
    /// # Errors
    /// [`StoreError::Secret`] for a secret atom. See [`StoreError`] for others.
    pub fn listen_keys<T: AtomValue>(
        &self,
        atom: &'static Atom<T>,
        keys: &[&str],
        f: impl Fn(&T) + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        let paths: Vec<_> = keys.iter().map(|key| pointer(key)).collect();
        self.listen_paths(atom, &paths.iter().map(String::as_str).collect::<Vec<_>>(), f)
    }

    /// Calls `f` with the value when the JSON at one of `paths` has changed, until the result is dropped.
    ///
    /// # Errors
    /// [`StoreError::Secret`] for a secret atom. See [`StoreError`] for others.
    pub fn listen_paths<T: AtomValue>(
        &self,
        atom: &'static Atom<T>,
        paths: &[&str],
        f: impl Fn(&T) + Send + Sync + 'static,
    ) -> Result<Listening, StoreError> {
        refuse_secret(atom)?;
        let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
        let parts =
            move |json: &Json| -> Vec<_> { paths.iter().map(|path| json.pointer(path).cloned()).collect() };
        let before = Mutex::new(parts(&self.json(atom)?));
        let weak = std::sync::Arc::downgrade(&self.0);
        self.listen(atom, move |value| {
            let Some(json) = weak.upgrade().and_then(|inner| Store(inner).json(atom).ok()) else { return };
            let now = parts(&json);
            let changed = {
                let mut before = before.lock();
                let changed = *before != now;
                *before = now;
                changed
            };
            if changed {
                f(value);
            }
        })
    }

    /// Returns the stored JSON, or that of the initial value.
    fn json<T: AtomValue>(&self, atom: &'static Atom<T>) -> Result<Json, StoreError> {
        let node = Sealed::node(atom, self)?;
        let (_, stored) = Self::stored(&node)?;
        parse(atom, stored.as_ref().map(Incoming::as_slice))
    }

    /// Returns the encoded value of an atom.
    pub(super) fn stored(node: &Node) -> Result<Stored, StoreError> {
        let Kind::Atom { cell, .. } = &node.kind else { return Err(StoreError::Closed) };
        let Snapshot { epoch, value } = from_provider(cell.read())?;
        Ok((epoch, value.into_option().map(Incoming::new)))
    }

    /// Writes `f` of the stored value, unless it is `None`; again after a concurrent write.
    fn replace(
        &self,
        node: &Node,
        f: impl Fn(Option<&[u8]>) -> Result<Option<Wiped>, StoreError>,
    ) -> Result<(), StoreError> {
        loop {
            let (epoch, stored) = Self::stored(node)?;
            let Some(bytes) = f(stored.as_ref().map(Incoming::as_slice))? else { return Ok(()) };
            match self.write(node, ROption::RSome(epoch), &bytes) {
                Err(StoreError::Conflict(_)) => {}
                done => return done,
            }
        }
    }
}

fn refuse_secret<T>(atom: &Atom<T>) -> Result<(), StoreError> {
    if atom.is_secret() {
        return Err(StoreError::Secret { atom: atom.name().to_owned(), what: "taken apart" });
    }
    Ok(())
}

fn parse<T: AtomValue>(atom: &Atom<T>, stored: Option<&[u8]>) -> Result<Json, StoreError> {
    match stored {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|e| StoreError::decode(atom.name(), &e)),
        None => serde_json::to_value(atom.init()).map_err(|e| StoreError::encode(atom.name(), &e)),
    }
}

/// Returns the JSON pointer of a member.
fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Sets what is at `path`.
fn place(json: &mut Json, path: &str, value: Json) -> Result<(), &'static str> {
    if path.is_empty() {
        *json = value;
        return Ok(());
    }
    let (parent, last) = path.rsplit_once('/').ok_or("a JSON pointer begins with `/`")?;
    let last = last.replace("~1", "/").replace("~0", "~");
    match json.pointer_mut(parent).ok_or("what should contain it is missing")? {
        Json::Object(members) => {
            members.insert(last, value);
        }
        Json::Array(items) if last == "-" => items.push(value),
        Json::Array(items) => {
            let at = last.parse::<usize>().map_err(|_| "an array's place is a number or `-`")?;
            *items.get_mut(at).ok_or("the array is shorter")? = value;
        }
        _ => return Err("what should contain it is no object and no array"),
    }
    Ok(())
}

/// Returns the JSON of `new` with the members of `stored` that this build does not know.
fn merge<T: AtomValue>(atom: &Atom<T>, stored: &[u8], old: &T, new: &T) -> Result<Tree, StoreError> {
    let tree =
        |value: &T| serde_json::to_value(value).map(Tree).map_err(|e| StoreError::encode(atom.name(), &e));
    let (stored, known, new) = (Tree(parse(atom, Some(stored))?), tree(old)?, tree(new)?);
    let unknown = unknown(&stored.0, &known.0);
    let mut merged = Tree(new.0.clone());
    for (path, key, value) in &unknown {
        insert(&mut merged.0, path, key, value);
    }
    let expected = read_again(atom, &new);
    if expected.is_none() || read_again(atom, &merged) == expected {
        return Ok(merged);
    }
    // A member that is unknown by its name can be an alias of a known one; the value then has both, or another value.
    let mut merged = Tree(new.0.clone());
    for (path, key, value) in &unknown {
        let mut with = Tree(merged.0.clone());
        insert(&mut with.0, path, key, value);
        if read_again(atom, &with) == expected {
            merged = with;
        }
    }
    Ok(merged)
}

/// Returns the JSON that this build makes of the value that it reads in `json`.
fn read_again<T: AtomValue>(atom: &Atom<T>, json: &Tree) -> Option<Tree> {
    let value = decode::<T>(atom.name(), &encode(&json.0).ok()?).ok()?;
    serde_json::to_value(value).ok().map(Tree)
}

type Unknown<'a> = Vec<(Vec<&'a str>, &'a str, &'a Json)>;

/// Lists the members of objects in `stored` that `known` does not have, with the path of the object.
fn unknown<'a>(stored: &'a Json, known: &Json) -> Unknown<'a> {
    fn visit<'a>(stored: &'a Json, known: &Json, path: &mut Vec<&'a str>, found: &mut Unknown<'a>) {
        let (Json::Object(stored), Json::Object(known)) = (stored, known) else { return };
        for (key, value) in stored {
            match known.get(key) {
                Some(known) => {
                    path.push(key);
                    visit(value, known, path, found);
                    path.pop();
                }
                None => found.push((path.clone(), key, value)),
            }
        }
    }
    let mut found = Vec::new();
    visit(stored, known, &mut Vec::new(), &mut found);
    found
}

/// Adds a member to the object at `path`, unless there is none, or it has the member.
fn insert(json: &mut Json, path: &[&str], key: &str, value: &Json) {
    let object = path.iter().try_fold(json, |json, part| json.get_mut(*part));
    if let Some(members) = object.and_then(Json::as_object_mut) {
        let members: &mut Map<_, _> = members;
        members.entry(key).or_insert_with(|| value.clone());
    }
}
