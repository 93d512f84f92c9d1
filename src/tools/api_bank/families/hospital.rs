//! Appointments with doctors, and health data.

use serde_json::{Map, Value, json};

use super::super::{
    dates::{Format, Moment, lenient},
    input::{Input, Kind, Need, Tool, parameter, text},
    python::{contains, elements, length, repr, strip, text_of},
    rules::{Answer, Fold, Raised, demand, input, part, same, same_moment, same_outcome, same_text},
    world::{World, field, field_is},
};
use crate::tools::equality::python_equal;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "AppointmentRegistration",
        parameters: &[text("patient_name"), text("date"), text("doctor_name")],
        named: true,
        run: Some(register),
        rule: registered,
    },
    Tool {
        name: "CancelRegistration",
        parameters: &[text("appointment_id")],
        named: true,
        run: Some(cancel),
        rule: cancelled,
    },
    Tool {
        name: "ModifyRegistration",
        parameters: &[
            text("appointment_id"),
            parameter("new_appointment_date", Kind::Text, Need::Optional),
            parameter("new_appointment_doctor", Kind::Text, Need::Optional),
        ],
        named: true,
        run: Some(modify),
        rule: modified,
    },
    Tool {
        name: "QueryRegistration",
        parameters: &[text("patient_name"), text("date")],
        named: true,
        run: Some(query),
        rule: queried,
    },
    Tool {
        name: "RecordHealthData",
        parameters: &[text("user_id"), text("time"), parameter("health_data", Kind::List, Need::Optional)],
        named: true,
        run: Some(record_health_data),
        rule: health_recorded,
    },
    Tool {
        name: "QueryHealthData",
        parameters: &[text("user_id"), text("start_time"), text("end_time")],
        named: true,
        run: Some(query_health_data),
        rule: health_queried,
    },
];

/// The length of a new appointment's id.
const ID_DIGITS: usize = 8;

fn date(text: &str) -> Result<String, String> {
    lenient(text, Format::Date).map(|moment| moment.text(Format::Date))
}

/// Returns whether an appointment is on a day.
fn is_on(appointment: &Value, day: &str) -> bool {
    appointment.get("date").and_then(Value::as_str).is_some_and(|own| date(own).is_ok_and(|own| own == day))
}

fn register(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let (patient, doctor) = (strip(input.text("patient_name")?), strip(input.text("doctor_name")?));
    if patient.is_empty() || doctor.is_empty() {
        return Err("Patient name or doctor name cannot be empty.".to_owned());
    }
    let day = date(input.text("date")?)?;
    let of_patient = |appointment: &&Value| field_is(appointment, "patient_name", &patient.into());
    if let Some(taken) = world.appointments.values().filter(of_patient).find(|appointment| is_on(appointment, &day)) {
        let same_doctor = field_is(taken, "doctor_name", &doctor.into());
        let what = if same_doctor { "This appointment" } else { "This patient" };
        let when = if same_doctor { "" } else { " in this day" };
        return Err(format!("{what} has already been registered{when}."));
    }
    let id = loop {
        // Eight digits, the first not 0.
        let id = world.draw(b"0123456789", ID_DIGITS);
        if !id.starts_with('0') && !world.appointments.contains_key(&id) {
            break id;
        }
    };
    let appointment = json!({ "patient_name": patient, "date": day, "doctor_name": doctor });
    world.appointments.insert(id.clone(), appointment);
    Ok(id.into())
}

/// The id is random, so an output only has to be there where the recorded one is.
fn registered(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    demand(&[], &["patient_name", "date", "doctor_name"], ours, gold)?;
    let same_call = same_text("patient_name", Fold::Blanks, ours, gold)?
        && same_moment("date", Format::Date, ours, gold)?
        && same_text("doctor_name", Fold::Blanks, ours, gold)?;
    let none_but_ours = part(gold, "output")?.is_null() && !part(ours, "output")?.is_null();
    Ok(same_call && !none_but_ours && same("exception", ours, gold)?)
}

fn cancel(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let id = strip(input.text("appointment_id")?);
    world.appointments.shift_remove(id).ok_or("The appointment ID is incorrect.")?;
    Ok("success".into())
}

fn cancelled(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    Ok(same_text("appointment_id", Fold::Blanks, ours, gold)? && same_outcome(ours, gold)?)
}

fn modify(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let id = strip(input.text("appointment_id")?);
    let appointment = world.appointments.get_mut(id).ok_or("The appointment ID does not exist.")?;
    let optional = |name: &str| if input.value(name).is_null() { Ok(None) } else { input.text(name).map(Some) };
    let day = optional("new_appointment_date")?.map(date);
    let doctor = optional("new_appointment_doctor")?.map(strip);
    if doctor == Some("") {
        return Err("Fail because the doctor name is empty.".to_owned());
    }
    let day = day.transpose()?;
    let unchanged = |name: &str, value: &str| field_is(appointment, name, &value.into());
    let same_day = day.as_deref().is_some_and(|day| unchanged("date", day));
    let same_doctor = doctor.is_some_and(|doctor| unchanged("doctor_name", doctor));
    let nothing = day.is_none() && doctor.is_none();
    if nothing || (same_day && same_doctor) {
        return Err("Fail because no modification is made.".to_owned());
    }
    if same_day || same_doctor {
        return Err(format!("Fail because {} is not changed.", if same_day { "date" } else { "doctor" }));
    }
    if let Some(day) = day {
        appointment["date"] = day.into();
    }
    if let Some(doctor) = doctor {
        appointment["doctor_name"] = doctor.into();
    }
    Ok("success".into())
}

fn modified(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    let id = strip(&text_of(input(ours, "appointment_id")?)).to_owned();
    let gold_id = input(gold, "appointment_id")?;
    let both = |name: &str| Ok::<_, Raised>((input(ours, name)?.is_null(), input(gold, name)?.is_null()));
    let same_day = match both("new_appointment_date")? {
        (true, true) => true,
        (false, false) => same_moment("new_appointment_date", Format::Date, ours, gold)?,
        _ => false,
    };
    let same_doctor = match both("new_appointment_doctor")? {
        (true, true) => true,
        (false, false) => same_text("new_appointment_doctor", Fold::Blanks, ours, gold)?,
        _ => false,
    };
    Ok(gold_id.as_str().is_some_and(|gold| strip(gold) == id) && same_day && same_doctor && same_outcome(ours, gold)?)
}

fn query(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let patient = strip(input.text("patient_name")?);
    let day = date(input.text("date")?)?;
    let found: Map<String, Value> = world
        .appointments
        .iter()
        .filter(|(_, appointment)| field_is(appointment, "patient_name", &patient.into()) && is_on(appointment, &day))
        .map(|(id, appointment)| (id.clone(), appointment.clone()))
        .collect();
    if found.is_empty() { Err("No appointments found.".to_owned()) } else { Ok(found.into()) }
}

fn queried(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    demand(&[], &["patient_name", "date"], ours, gold)?;
    Ok(same_text("patient_name", Fold::Blanks, ours, gold)?
        && same_moment("date", Format::Date, ours, gold)?
        && same_outcome(ours, gold)?)
}

fn user(input: &Input) -> Result<String, String> {
    let upper = input.text("user_id")?.to_uppercase();
    let user = strip(&upper);
    if user.is_empty() { Err("The user id cannot be empty.".to_owned()) } else { Ok(user.to_owned()) }
}

fn record_health_data(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let user = user(input)?;
    let time = lenient(input.text("time")?, Format::Time)?.text(Format::Time);
    let data = input.value("health_data");
    if data.is_null() || length(data)? == 0 {
        return Err("The health data cannot be empty.".to_owned());
    }
    let data = elements(data)?;
    let mut names: Vec<Value> = Vec::new();
    for item in &data {
        if !contains(item, "name")? {
            return Err("The health data has invalid format.".to_owned());
        }
        let name = field(item, "name")?;
        if name.is_array() || name.is_object() {
            return Err(format!("unhashable type: '{}'", super::super::python::type_name(&name)));
        }
        if names.iter().any(|seen| python_equal(seen, &name)) {
            return Err("The health data cannot contain duplicate items.".to_owned());
        }
        names.push(name);
    }
    let records = world.health.entry(user).or_insert_with(|| json!([]));
    let Value::Array(records) = records else { return Err(format!("{} is no list", repr(records))) };
    let moment = Value::from(time.as_str());
    let old = records.iter().rposition(|record| field_is(record, "time", &moment));
    let mut record = old.map_or_else(|| json!({ "time": time }), |index| records[index].clone());
    let mut failure = None;
    for item in &data {
        match field(item, "value") {
            Ok(value) => record[text_of(&item["name"])] = value,
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    match (old, failure) {
        // What was written into an old record before the mistake stays; a new one is not added.
        (Some(index), failure) => {
            records[index] = record;
            failure.map_or(Ok("success".into()), Err)
        }
        (None, Some(failure)) => Err(failure),
        (None, None) => {
            records.push(record);
            Ok("success".into())
        }
    }
}

/// The data itself is not compared.
fn health_recorded(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    input(ours, "health_data")?;
    input(gold, "health_data")?;
    demand(&["user_id"], &["time"], ours, gold)?;
    Ok(same_text("user_id", Fold::Upper, ours, gold)?
        && same_moment("time", Format::Time, ours, gold)?
        && same_outcome(ours, gold)?)
}

fn query_health_data(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let user = user(input);
    let (start, end) = (input.text("start_time")?, input.text("end_time")?);
    let (start, end) = (lenient(start, Format::Time), lenient(end, Format::Time));
    let user = user?;
    let (start, end) = match (start, end) {
        (Ok(start), Ok(end)) => (start, end),
        (Err(start), Err(end)) => return Err(format!("{start}; {end}")),
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    if start > end {
        return Err("The start time cannot be later than the end time.".to_owned());
    }
    let records = world.health.get(&user).and_then(Value::as_array).ok_or("The user id does not exist.")?;
    let within = |record: &&Value| {
        let time = record.get("time").and_then(Value::as_str).map(|time| Moment::parse(time, Format::Time));
        matches!(time, Some(Ok(time)) if time >= start && time <= end)
    };
    let found: Vec<Value> = records.iter().filter(within).cloned().collect();
    if found.is_empty() {
        return Err("There is no health data in the given time span.".to_owned());
    }
    Ok(found.into())
}

fn health_queried(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    demand(&["user_id"], &["start_time", "end_time"], ours, gold)?;
    let mut same_call = same_text("user_id", Fold::Upper, ours, gold)?;
    for name in ["start_time", "end_time"] {
        same_call &= same_moment(name, Format::Time, ours, gold)?;
    }
    Ok(same_call && same_outcome(ours, gold)?)
}
