"""Words that seeded values are made of; some are there because they break careless code."""

from __future__ import annotations

COMPANY_HEADS = (
    "Northwind", "Fishy", "Cedar & Sons", "Blue Harbor", "Müller", "Société Générale de Papier", "Iron Gate",
    "Åkerlund", "Straße 9", "東京文具", "O'Brien", "Quill \"Q\" Works", "Zażółć", "Lumen", "Aster", "Redwood",
    "Copperfield", "Blank\\Slash", "Delta Nine", "Summit", "Évora", "Bright Path", "Granite", "Saffron", "Orchid",
)  # fmt: skip
COMPANY_TAILS = (
    "Supplies", "Logistics", "GmbH", "Industries, Inc.", "Partners", "S.A.", "Trading Co.", "Services", "Labs",
    "Office", "Catering", "Facilities", "Software", "K.K.", "Consulting", "Paper", "Tools", "Energy",
)  # fmt: skip
FIRST_NAMES = (
    "Ada", "Björn", "Chloé", "Dmitri", "Elena", "Farid", "Grace", "Hana", "Ines", "Jürgen", "Kofi", "Lena",
    "Marta", "Nia", "Oscar", "Priya", "Quinn", "Rosa", "Siobhán", "Tomás", "Uma", "Víctor", "Wen", "Ximena",
    "Yuki", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Abbott", "Brontë", "Castillo", "D'Souza", "Eriksen", "Fischer", "García", "Hughes", "Ito", "Jansen",
    "Kowalski", "Lindqvist", "Moreau", "Nguyen", "O'Neil", "Petrov", "Quist", "Rossi", "Sørensen", "Takahashi",
    "Ueda", "Vargas", "Weiß", "Xu", "Young", "Zimmermann",
)  # fmt: skip
GOODS = (
    "Printer paper A4, 80 g", "LED bulbs 9 W", "Office chair \"Ergo\"", "Laptop 14\" 32 GB", "Cleaning, weekly",
    "Steel bolts M8x40", "Coffee beans 1 kg", "Cloud hosting, monthly", "Freight\nDoor to door", "Safety gloves",
    "Consulting: phase 2", "Toner schwarz/weiß", "Network switch 24 port", "Catering — 20 people", "Pallets, used",
    "Translation 日本語→English", "Monitor 27\"", "Licence renewal (12 mo.)", "Packaging tape\t50 mm", "Rent",
)  # fmt: skip
NOTES = (
    "", "Please pay promptly", "Délivré en mains propres", "See attachment\nPage 2", "Goods received \"as is\"",
    "Approved by phone", "価格は税込み", "50% deposit; 50% on delivery", "C:\\temp\\scan.pdf", "n/a",
)  # fmt: skip
CITIES = (
    ("San Francisco", "CA", "94107"), ("Seattle", "WA", "98101"), ("München", None, "80331"),
    ("Lyon", None, "69001"), ("São Paulo", "SP", "01310-100"), ("大阪市", None, "530-0001"), ("Łódź", None, "90-001"),
    ("Austin", "TX", "73301"), ("Dublin", None, "D02 X285"), ("Reno", "NV", "89501"),
)  # fmt: skip
COUNTRIES = (
    (223, "US", "United States"), (78, "DE", "Germany"), (71, "FR", "France"), (30, "BR", "Brazil"),
    (106, "JP", "Japan"), (174, "PL", "Poland"), (100, "IE", "Ireland"),
)  # fmt: skip
CURRENCIES = (
    "USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "BRL", "MXN",
    "INR", "CNY", "KRW", "SGD", "HKD", "NZD", "ZAR", "TRY", "ILS", "AED", "SAR", "THB", "MYR", "PHP", "IDR", "VND",
    "CLP", "COP", "PEN", "ARS", "EGP", "KES", "NGN", "KWD",
)  # fmt: skip
UOMS = (
    ("EA", "Each"), ("HR", "Hour"), ("KG", "Kilogram"), ("BX", "Box"), ("CS", "Case"), ("DAY", "Day"), ("M", "Meter"),
    ("LB", "Pound"), ("GAL", "Gallon"), ("PK", "Pack"), ("DZ", "Dozen"), ("MON", "Month"), ("L", "Liter"),
)  # fmt: skip
DEPARTMENTS = (
    "Marketing", "Finance", "IT", "Facilities", "R&D", "Sales EMEA", "Sales APAC", "People", "Legal", "Operations",
    "Customer Care", "Qualität", "Procurement", "Security",
)  # fmt: skip
STREETS = (
    "Harbor Street",
    "Main St",
    "Rue de l'Église",
    "Königsallee",
    "Mission Blvd",
    "Calle Mayor",
    "2nd Ave",
)
