"""What the fictional company's people, things and messages are called."""

from __future__ import annotations

AGENTS = ("Ines Okafor", "Tom Lindqvist", "Priya Raman", "Jonas Weber", "Lucia Moretti")
FIRST = (
    "Ada",
    "Amir",
    "Anna",
    "Ben",
    "Chen",
    "Clara",
    "David",
    "Elif",
    "Emma",
    "Femi",
    "Grace",
    "Hugo",
    "Ines",
    "Ivan",
    "Jana",
    "Kofi",
    "Lena",
    "Liam",
    "Maria",
    "Mateo",
    "Mei",
    "Nora",
    "Omar",
    "Paul",
    "Priya",
    "Rosa",
    "Sam",
    "Sofia",
    "Tariq",
    "Uma",
    "Victor",
    "Yuki",
    "Zoë",
)
LAST = (
    "Adeyemi",
    "Bauer",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Larsen",
    "Müller",
    "Nakamura",
    "O'Brien",
    "Petrov",
    "Quinn",
    "Rossi",
    "Singh",
    "Tanaka",
    "Ueda",
    "Virtanen",
    "Weber",
    "Xu",
    "Yilmaz",
    "Zhang",
)
ORGANISATIONS = (
    "Alder Studio",
    "Birch Logistics",
    "Cedar Clinic",
    "Delta Foods",
    "Ember Media",
    "Fjord Travel",
    "Granite Works",
    "Harbor Books",
    "Iris Optics",
    "Juniper Labs",
)
INDUSTRIES = ("design", "logistics", "health", "food", "media", "travel", "manufacturing", "retail")
CITIES = ("Lisbon", "Hamburg", "Leeds", "Turin", "Austin", "Osaka", "Nairobi")
COUNTRIES = (
    ("US", "en", "1"),
    ("GB", "en", "44"),
    ("DE", "de", "49"),
    ("FR", "fr", "33"),
    ("JP", "ja", "81"),
    ("BR", "pt", "55"),
)
KINDS = ("Trail", "Summit", "Harbor", "Winter", "City")
GOODS = (
    "Jacket",
    "Backpack",
    "Boots",
    "Tent",
    "Lamp",
    "Bottle",
    "Gloves",
    "Socks",
    "Hat",
    "Stove",
    "Map Case",
    "Rope",
)
SUBJECTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Cannot sign in since yesterday", ("login",)),
    ("Where is my order {order}?", ("shipping",)),
    ("Wrong size delivered in {order}", ("return", "sizing")),
    ("Refund for {order} has not arrived", ("refund", "billing")),
    ("Invoice shows the wrong VAT number", ("billing",)),
    ("Zip broke after a week", ("warranty",)),
    ("Change the delivery address of {order}", ("shipping", "address")),
    ("Question about gift cards", ("presales",)),
)
COMPLAINTS = (
    "Could you please look into this?",
    "I have written before and got no answer.",
    "I need this before Friday.",
    "Thank you for your help!",
)
REPLIES = (
    "Thank you for writing. I am checking this with our warehouse.",
    "I have corrected this for you. Please tell us if anything is still wrong.",
    "Could you send us a photo, please?",
)
INTERNAL = (
    "Customer is on the gold plan, please hurry.",
    "Same fault as last month, see the runbook.",
    "Waiting for the carrier to answer.",
)
NOTES = (
    "Prefers to be called in the morning.",
    "Asked for a quote on 40 jackets for their team.",
    "Met at the trade fair; interested in the winter line.",
    "Do not offer further discounts before the renewal.",
)
CASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Contract renewal for next year", ("contract",)),
    ("Discount on the team order", ("pricing",)),
    ("Change of the billing contact", ("billing", "contract")),
)
INQUIRIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Quote for a group of twelve", ("presales",)),
    ("Do you ship to our branch office?", ("presales", "shipping")),
    ("Catalogue of the winter line", ("presales",)),
)
MAILS = (
    ("Delivery date of my parcel", "Could you tell me when my parcel will arrive? I am away next week."),
    ("Washing a down jacket", "May I wash the jacket at 30 degrees, or does it have to be cleaned?"),
    ("Copy of an invoice", "I need a copy of my last invoice for my tax adviser, please."),
)
MAIL_ANSWERS = (
    "Thank you for writing. I have looked it up, and everything is on its way.",
    "Thank you for your question. You will find the answer in our help centre, under Care and repair.",
)
CALLS = (
    "Asked about delivery times to the new office.",
    "Wanted to know whether the tent can be repaired.",
    "Left a message: please call back about the offer.",
)
LOCATIONS = ("Hamburg warehouse", "Leeds warehouse", "Austin store")
