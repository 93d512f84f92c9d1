//! The smart home: scenes, timed switches, music.

use serde_json::{Value, json};

use super::super::{
    dates::{Format, lenient},
    input::{Input, Kind, Need, Parameter, Tool, parameter, text},
    python::{contains, elements, no_attribute, not_indexed, repr, strip, type_name},
    rules::{Answer, Fold, Raised, demand, input, part, same, same_input, same_moment, same_outcome, same_text},
    world::{World, field_is},
};
use crate::tools::equality::python_equal;

const SCENE: &[Parameter] = &[text("name"), parameter("devices", Kind::List, Need::Required)];

pub(super) const TOOLS: &[Tool] = &[
    Tool { name: "AddScene", parameters: SCENE, named: true, run: Some(add_scene), rule: scene_added },
    Tool { name: "DeleteScene", parameters: &[text("name")], named: true, run: Some(delete_scene), rule: scene_named },
    Tool { name: "ModifyScene", parameters: SCENE, named: true, run: Some(modify_scene), rule: scene_modified },
    Tool { name: "QueryScene", parameters: &[text("name")], named: true, run: Some(query_scene), rule: scene_named },
    Tool {
        name: "TimedSwitch",
        parameters: &[text("name"), text("time"), parameter("on", Kind::Truth, Need::Required)],
        named: true,
        run: Some(timed_switch),
        rule: switched,
    },
    Tool {
        name: "CancelTimedSwitch",
        parameters: &[text("name"), text("time")],
        named: true,
        run: Some(cancel_timed_switch),
        rule: switch_cancelled,
    },
    Tool { name: "PlayMusic", parameters: &[text("music_name")], named: true, run: Some(play_music), rule: played },
];

fn scene_name(input: &Input) -> Result<String, String> {
    let name = strip(input.text("name")?).to_lowercase();
    if name.is_empty() { Err("Scene name cannot be empty.".to_owned()) } else { Ok(name) }
}

/// Brings devices into their form: names without blanks in lower case, descriptions without blanks, sorted by name.
/// What was put in order before a mistake was found stays so.
fn tidy_devices(devices: &mut Value, unique: bool) -> Result<(), Mistake> {
    let Value::Array(items) = devices else {
        // A text is a list of its letters, and no letter is a device.
        return match elements(devices).map_err(Mistake::Raised)?.first() {
            Some(_) if unique => Err(Mistake::Raised("Invalid device format.".to_owned())),
            Some(letter) => Err(Mistake::Raised(not_indexed(letter))),
            None => Err(Mistake::Raised(no_attribute(devices, "sort"))),
        };
    };
    let mut names: Vec<Value> = Vec::new();
    for item in items.iter_mut() {
        if unique {
            let has = |name| contains(item, name).map_err(Mistake::Raised);
            if !has("name")? || !has("description")? {
                return Err(Mistake::Raised("Invalid device format.".to_owned()));
            }
        }
        for name in ["name", "description"] {
            let Value::Object(device) = &mut *item else { return Err(Mistake::Raised(not_indexed(item))) };
            let value = device.get_mut(name).ok_or(Mistake::Key)?;
            let Some(given) = value.as_str() else { return Err(Mistake::Raised(no_attribute(value, "strip"))) };
            let given = strip(given);
            *value = if name == "name" { given.to_lowercase() } else { given.to_owned() }.into();
        }
        if unique && names.contains(&item["name"]) {
            return Err(Mistake::Raised("Device name cannot be duplicated.".to_owned()));
        }
        names.push(item["name"].clone());
    }
    items.sort_by(|left, right| left["name"].as_str().cmp(&right["name"].as_str()));
    Ok(())
}

enum Mistake {
    Key,
    Raised(String),
}

fn put_scene(world: &mut World, input: &mut Input, name: String) -> Result<Value, String> {
    world.scenes.insert(name, input.value("devices").clone());
    Ok("success".into())
}

fn tidy_input(input: &mut Input) -> Result<(), String> {
    let devices = input.0.get_mut("devices").ok_or("'NoneType' object is not iterable")?;
    tidy_devices(devices, true).map_err(|mistake| match mistake {
        // Both names were found before, so only a dictionary without them is left, which was refused.
        Mistake::Key => "'name'".to_owned(),
        Mistake::Raised(text) => text,
    })
}

fn add_scene(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let name = scene_name(input)?;
    tidy_input(input)?;
    if world.scenes.contains_key(&name) {
        return Err("Scene name already exists.".to_owned());
    }
    put_scene(world, input, name)
}

fn modify_scene(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let name = scene_name(input)?;
    tidy_input(input)?;
    if !world.scenes.contains_key(&name) {
        return Err("The scene does not exist.".to_owned());
    }
    put_scene(world, input, name)
}

fn delete_scene(world: &mut World, input: &mut Input) -> Result<Value, String> {
    world.scenes.shift_remove(&scene_name(input)?).ok_or("The scene does not exist.")?;
    Ok("success".into())
}

fn query_scene(world: &mut World, input: &mut Input) -> Result<Value, String> {
    Ok(world.scenes.get(&scene_name(input)?).cloned().ok_or("Scene not found.")?)
}

fn scene_named(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    Ok(same_text("name", Fold::Lower, ours, gold)? && same_outcome(ours, gold)?)
}

fn tidy_answer(answer: &mut Answer) -> Result<(), Raised> {
    let devices = answer.get_mut("input").and_then(|input| input.get_mut("devices")).ok_or(Raised::Key)?;
    tidy_devices(devices, false).map_err(|mistake| match mistake {
        Mistake::Key => Raised::Key,
        Mistake::Raised(text) => Raised::Other(text),
    })
}

fn same_scene(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    for name in ["name", "devices"] {
        input(ours, name)?;
        input(gold, name)?;
    }
    demand(&[], &["name"], ours, gold)?;
    tidy_answer(ours)?;
    tidy_answer(gold)?;
    Ok(same_text("name", Fold::Lower, ours, gold)? && same_input("devices", ours, gold)?)
}

fn scene_added(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    if !same_scene(ours, gold)? {
        return Ok(false);
    }
    let none_but_ours = part(gold, "output")?.is_null() && !part(ours, "output")?.is_null();
    Ok(!none_but_ours && same("exception", ours, gold)?)
}

fn scene_modified(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    Ok(same_scene(ours, gold)? && same_outcome(ours, gold)?)
}

/// Returns the device's name and the time.
fn switch(input: &Input, empty: &str) -> Result<(String, String), String> {
    let name = strip(input.text("name")?).to_lowercase();
    if name.is_empty() {
        return Err(empty.to_owned());
    }
    Ok((name, lenient(input.text("time")?, Format::Time)?.text(Format::Time)))
}

fn timed_switch(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let (name, time) = switch(input, "Name cannot be empty.")?;
    let on = input.value("on").clone();
    let times = world.switches.entry(name).or_insert_with(|| json!([]));
    let Value::Array(times) = times else { return Err(format!("'{}' is no list", type_name(times))) };
    match times.iter_mut().find(|entry| field_is(entry, "time", &Value::from(time.as_str()))) {
        Some(entry) => entry["on"] = on,
        None => times.push(json!({ "time": time, "on": on })),
    }
    Ok("success".into())
}

fn cancel_timed_switch(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let (name, time) = switch(input, "name cannot be empty.")?;
    let times = world.switches.get_mut(&name).ok_or("device name does not exist.")?;
    let Value::Array(times) = times else { return Err(format!("{} is no list", repr(times))) };
    let time = Value::from(time);
    let index = times.iter().position(|entry| field_is(entry, "time", &time)).ok_or("time does not exist.")?;
    times.remove(index);
    Ok("success".into())
}

fn switched(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    let same_state = same_input("on", ours, gold)?;
    demand(&[], &["name", "time"], ours, gold)?;
    Ok(same_text("name", Fold::Lower, ours, gold)?
        && same_moment("time", Format::Time, ours, gold)?
        && same_state
        && same_outcome(ours, gold)?)
}

fn switch_cancelled(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    demand(&[], &["name", "time"], ours, gold)?;
    Ok(same_text("name", Fold::Lower, ours, gold)?
        && same_moment("time", Format::Time, ours, gold)?
        && same_outcome(ours, gold)?)
}

fn play_music(_: &mut World, input: &mut Input) -> Result<Value, String> {
    let name = input.text("music_name")?.to_lowercase();
    let name = strip(&name);
    if name.is_empty() {
        return Err("The music name cannot be empty.".to_owned());
    }
    Ok(format!("music://{name}").into())
}

fn played(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    Ok(python_equal(part(ours, "output")?, part(gold, "output")?))
}
