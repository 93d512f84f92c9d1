//! How each API is asked for.
//!
//! A phrase names its arguments in braces; an optional argument that a phrase does not name is left out of the call.

use super::draw::Pool;

/// The ways to ask for one API, and where its arguments' values come from.
pub(super) struct Recipe {
    pub tool: &'static str,
    pub slots: &'static [(&'static str, Pool)],
    pub easy: &'static [&'static str],
    /// Used at the full level beside the easy ones.
    pub full: &'static [&'static str],
}

pub(super) static RECIPES: &[Recipe] = &[
    Recipe {
        tool: "add_event",
        slots: &[("title", Pool::NewTitle), ("day", Pool::Day), ("hour", Pool::Hour), ("minutes", Pool::Minutes)],
        easy: &[
            "Add {title} on {day} at {hour}.",
            "Put {title} in my calendar for {day} at {hour}.",
            "I have {title} on {day} at {hour}, add it.",
            "Schedule {title} for {day} at {hour}.",
            "Plan {title} at {hour} on {day}.",
            "New event: {title}, {day}, {hour}.",
        ],
        full: &[
            "Could you block {day} at {hour} for the {title}?",
            "Please schedule the {title} on {day} at {hour}; it takes {minutes} minutes.",
            "My {title} begins at {hour} on {day} and lasts {minutes} minutes. Note that down.",
            "There will be a {title} on {day}, starting at {hour}. Add it to the calendar.",
        ],
    },
    Recipe {
        tool: "cancel_event",
        slots: &[("title", Pool::Title)],
        easy: &[
            "Cancel {title}.",
            "Remove {title} from my calendar.",
            "Take {title} off the calendar.",
            "I will not go to {title}, cancel it.",
            "Drop the event {title}.",
            "Forget about {title}.",
        ],
        full: &[
            "The {title} is not happening any more, so please remove it.",
            "Could you call off my {title}?",
            "I can't make it to the {title}; cancel it, please.",
        ],
    },
    Recipe {
        tool: "move_event",
        slots: &[("title", Pool::Title), ("day", Pool::Day), ("hour", Pool::Hour)],
        easy: &[
            "Move {title} to {day}.",
            "Shift {title} to {day}.",
            "{title} is on {day} now, move it.",
            "Postpone {title} to {day}.",
            "Reschedule {title} for {day}.",
            "Make it {day} for {title}.",
        ],
        full: &[
            "The {title} has to be on {day} instead. Can you change that?",
            "Please shift the {title} to {day} at {hour}.",
            "Could the {title} be moved to {day}, {hour}?",
        ],
    },
    Recipe {
        tool: "list_events",
        slots: &[("day", Pool::Day)],
        easy: &[
            "What is on {day}?",
            "Show my events on {day}.",
            "List the events of {day}.",
            "What do I have on {day}?",
            "Which events are on {day}?",
            "Read me my calendar for {day}.",
        ],
        full: &["Am I busy on {day}?", "Give me an overview of my {day}.", "What does my schedule look like on {day}?"],
    },
    Recipe {
        tool: "invite_guest",
        slots: &[("title", Pool::Title), ("guest", Pool::Guest)],
        easy: &[
            "Invite {guest} to {title}.",
            "Ask {guest} to come to {title}.",
            "Add {guest} as a guest to {title}.",
            "{guest} should come to {title}, invite.",
            "For {title}, invite {guest}.",
            "I want {guest} at {title}.",
        ],
        full: &[
            "Please send {guest} an invitation for the {title}.",
            "{guest} would love to join the {title}. Put them on the guest list.",
            "Could you invite {guest} to my {title}?",
        ],
    },
    Recipe {
        tool: "create_file",
        slots: &[("name", Pool::NewFile), ("folder", Pool::Folder), ("text", Pool::Text)],
        easy: &[
            "Create a file {name} in {folder}.",
            "Make a new file {name} in {folder}.",
            "I need a file {name} in the folder {folder}.",
            "Start {name} in {folder}.",
            "In {folder}, create {name}.",
            "New file {name}, folder {folder}.",
        ],
        full: &[
            "Please create {name} in the {folder} folder with the text \"{text}\".",
            "Write \"{text}\" into a new file called {name} under {folder}.",
            "Could you set up an empty file named {name} in {folder}?",
        ],
    },
    Recipe {
        tool: "delete_file",
        slots: &[("name", Pool::File)],
        easy: &[
            "Delete {name}.",
            "Delete the file {name}.",
            "Throw away {name}.",
            "I do not need the file {name}.",
            "Erase {name}.",
            "Get rid of the file {name}.",
        ],
        full: &[
            "You can bin {name}, it is out of date.",
            "Could you erase the file {name} for me?",
            "Please make sure {name} is deleted.",
        ],
    },
    Recipe {
        tool: "rename_file",
        slots: &[("name", Pool::File), ("new_name", Pool::NewFile)],
        easy: &[
            "Rename {name} to {new_name}.",
            "Call the file {name} {new_name} now.",
            "Change the name of {name} to {new_name}.",
            "The file {name} should be named {new_name}.",
            "Give {name} the name {new_name}.",
            "From now on {name} is {new_name}, rename it.",
        ],
        full: &[
            "{new_name} is a better name for {name}, so rename it.",
            "Please change the file name {name} into {new_name}.",
            "Could {name} be called {new_name} instead?",
        ],
    },
    Recipe {
        tool: "move_file",
        slots: &[("name", Pool::File), ("folder", Pool::Folder)],
        easy: &[
            "Move {name} to {folder}.",
            "Put the file {name} into {folder}.",
            "File {name} under {folder}.",
            "{name} belongs in {folder}, move it.",
            "Store {name} in {folder}.",
            "Shift the file {name} to {folder}.",
        ],
        full: &[
            "I'd rather have {name} in the {folder} folder.",
            "Please tidy up: {name} goes to {folder}.",
            "Could you transfer the file {name} to {folder}?",
        ],
    },
    Recipe {
        tool: "list_files",
        slots: &[("folder", Pool::Folder)],
        easy: &[
            "What is in {folder}?",
            "List the files in {folder}.",
            "Show me the folder {folder}.",
            "Which files are in {folder}?",
            "Open the folder {folder}.",
            "What does {folder} hold?",
        ],
        full: &[
            "Tell me what I keep in the {folder} folder.",
            "Is there anything in {folder}?",
            "Could you give me the contents of {folder}?",
        ],
    },
    Recipe {
        tool: "get_balance",
        slots: &[("account", Pool::Account)],
        easy: &[
            "How much is in {account}?",
            "What is the balance of {account}?",
            "Show my {account} account.",
            "Check the balance of {account}.",
            "How much money does {account} have?",
            "Tell me the money in {account}.",
        ],
        full: &[
            "Do I have any money left on my {account} account?",
            "Could you look up my {account} balance?",
            "What's on the {account} account right now?",
        ],
    },
    Recipe {
        tool: "transfer_money",
        slots: &[("source", Pool::Account), ("target", Pool::OtherAccount), ("amount", Pool::Amount)],
        easy: &[
            "Transfer {amount} from {source} to {target}.",
            "Move {amount} dollars from {source} to {target}.",
            "Send {amount} from {source} to {target}.",
            "Shift {amount} to {target} from {source}.",
            "Take {amount} from {source} for {target}.",
            "From {source}, transfer {amount} to {target}.",
        ],
        full: &[
            "My {target} account needs {amount} from {source}.",
            "Please top up {target} with {amount} out of my {source} account.",
            "Could you move {amount} over from {source} to {target}?",
        ],
    },
    Recipe {
        tool: "pay_bill",
        slots: &[("company", Pool::Company), ("amount", Pool::Amount), ("account", Pool::Account)],
        easy: &[
            "Pay {amount} to {company}.",
            "Pay {company} {amount} dollars.",
            "I owe {company} {amount}, pay it.",
            "Settle the {company} bill of {amount}.",
            "The bill from {company} is {amount}, pay it.",
            "Send {company} {amount} for the bill.",
        ],
        full: &[
            "{company} wants {amount} this month. Pay that, please.",
            "Please pay the {company} bill of {amount} from my {account} account.",
            "Use {account} to pay {company} {amount}.",
        ],
    },
    Recipe {
        tool: "set_limit",
        slots: &[("card", Pool::Card), ("amount", Pool::Amount)],
        easy: &[
            "Set the limit of the {card} card to {amount}.",
            "Limit the {card} card to {amount}.",
            "The {card} card may spend {amount}.",
            "Change the {card} limit to {amount}.",
            "Let the {card} card spend {amount} a month.",
            "Make {amount} the limit of {card}.",
        ],
        full: &[
            "I don't want to spend more than {amount} a month with my {card} card.",
            "Please cap the {card} card at {amount}.",
            "Could you change the monthly limit on {card} to {amount}?",
        ],
    },
    Recipe {
        tool: "freeze_card",
        slots: &[("card", Pool::Card)],
        easy: &[
            "Freeze the {card} card.",
            "Block my {card} card.",
            "I lost the {card} card.",
            "Stop the {card} card.",
            "Lock the card {card}.",
            "Nobody may use the {card} card now.",
        ],
        full: &[
            "Somebody stole my {card} card, so block it at once.",
            "Please put a hold on the {card} card.",
            "I can't find my {card} card anywhere. Make sure nobody uses it.",
        ],
    },
    Recipe {
        tool: "convert_length",
        slots: &[("value", Pool::Count), ("source", Pool::LengthUnit), ("target", Pool::OtherLengthUnit)],
        easy: &[
            "Convert {value} {source} to {target}.",
            "How many {target} are {value} {source}?",
            "What is {value} {source} in {target}?",
            "Change {value} {source} into {target}.",
            "Give me {value} {source} in {target}.",
            "{value} {source} is how many {target}?",
        ],
        full: &[
            "The board is {value} {source} long. I need that in {target}.",
            "If I walk {value} {source}, how far is it in {target}?",
            "Could you tell me the length of {value} {source} expressed in {target}?",
        ],
    },
    Recipe {
        tool: "convert_temperature",
        slots: &[("degrees", Pool::Count), ("target", Pool::Scale)],
        easy: &[
            "Convert {degrees} degrees to {target}.",
            "What are {degrees} degrees in {target}?",
            "{degrees} degrees in {target}?",
            "Change {degrees} degrees into {target}.",
            "How warm are {degrees} degrees in {target}?",
            "Give me {degrees} degrees as {target}.",
        ],
        full: &[
            "My thermometer says {degrees}, and I need {target}.",
            "The oven should be at {degrees} degrees; what is that in {target}?",
            "Please express {degrees} degrees in {target}.",
        ],
    },
    Recipe {
        tool: "rectangle_area",
        slots: &[("width", Pool::Count), ("height", Pool::Count)],
        easy: &[
            "What is the area of a {width} by {height} rectangle?",
            "Area of a rectangle {width} wide and {height} high?",
            "How large is a field of {width} by {height}?",
            "A room is {width} by {height}, what is its area?",
            "Find the area for width {width} and height {height}.",
            "A wall is {width} wide and {height} high. Its area?",
        ],
        full: &[
            "I want to paint a wall that is {width} wide and {height} high. How much surface is that?",
            "Compute the area of a rectangle with a width of {width} and a height of {height}.",
        ],
    },
    Recipe {
        tool: "percent_of",
        slots: &[("percent", Pool::Count), ("value", Pool::Count)],
        easy: &[
            "What is {percent} percent of {value}?",
            "Take {percent} percent of {value}.",
            "How much is {percent} percent of {value}?",
            "Find {percent} percent of {value}.",
            "{percent} percent of {value}?",
            "Give me {percent} percent of {value}.",
        ],
        full: &[
            "The bill is {value}; how much is a tip of {percent} percent?",
            "If {percent}% of {value} people come, how many is that?",
            "Compute {percent}% of {value}.",
        ],
    },
    Recipe {
        tool: "average",
        slots: &[("numbers", Pool::Numbers)],
        easy: &[
            "What is the average of {numbers}?",
            "Find the mean of {numbers}.",
            "Average {numbers}.",
            "Give me the average of {numbers}.",
            "Take the mean of {numbers}.",
            "The mean of {numbers}?",
        ],
        full: &[
            "My scores were {numbers}. What did I get on average?",
            "On three days I counted {numbers}; compute the mean.",
        ],
    },
];
