"""The nouns, by kind. Verbs and adjectives list the kinds they can be used with: people read books and eat soup."""

from tfmr.data.corpora.grammar.dictionary import read_nouns

MEN = read_nouns(
    "person",
    """
    man, men | der Mann, Männer
    boy | der Junge, Jungen, weak
    father | der Vater, Väter
    brother | der Bruder, Brüder
    son | der Sohn, Söhne
    uncle | der Onkel, Onkel
    friend | der Freund, Freunde
    neighbour | der Nachbar, Nachbarn, weak
    teacher | der Lehrer, Lehrer
    doctor | der Arzt, Ärzte
    student | der Student, Studenten, weak
    colleague | der Kollege, Kollegen, weak
    guest | der Gast, Gäste
    cook | der Koch, Köche
    farmer | der Bauer, Bauern, weak
    king | der König, Könige
    tourist | der Tourist, Touristen, weak
    police officer | der Polizist, Polizisten, weak
    """,
)

WOMEN = read_nouns(
    "person",
    """
    woman, women | die Frau, Frauen
    mother | die Mutter, Mütter
    sister | die Schwester, Schwestern
    daughter | die Tochter, Töchter
    aunt | die Tante, Tanten
    grandmother | die Großmutter, Großmütter
    queen | die Königin, Königinnen
    actress | die Schauspielerin, Schauspielerinnen
    waitress | die Kellnerin, Kellnerinnen
    girl | das Mädchen, Mädchen
    """,
)

CHILDREN = read_nouns(
    "person",
    """
    child, children | das Kind, Kinder
    baby | das Baby, Babys
    """,
)

ANIMALS = read_nouns(
    "animal",
    """
    dog | der Hund, Hunde
    cat | die Katze, Katzen
    horse | das Pferd, Pferde
    bird | der Vogel, Vögel
    cow | die Kuh, Kühe
    rabbit | das Kaninchen, Kaninchen
    bear | der Bär, Bären, weak
    """,
)

FOOD = [
    *read_nouns(
        "food",
        """
        apple | der Apfel, Äpfel
        banana | die Banane, Bananen
        pear | die Birne, Birnen
        biscuit | der Keks, Kekse
        cheese | der Käse
        """,
    ),
    *read_nouns(
        "cooked",
        """
        egg | das Ei, Eier
        sausage | die Wurst, Würste
        potato, potatoes | die Kartoffel, Kartoffeln
        soup | die Suppe, Suppen
        rice | der Reis
        """,
    ),
    *read_nouns(
        "baked",
        """
        bread | das Brot
        cake | der Kuchen, Kuchen
        pizza | die Pizza, Pizzen
        """,
    ),
]

DRINKS = read_nouns(
    "drink",
    """
    water | das Wasser
    milk | die Milch
    coffee | der Kaffee
    tea | der Tee
    wine | der Wein
    beer | das Bier
    """,
)

TEXTS = [
    *read_nouns(
        "text",
        """
        letter | der Brief, Briefe
        poem | das Gedicht, Gedichte
        story | die Geschichte, Geschichten
        report | der Bericht, Berichte
        novel | der Roman, Romane
        book | das Buch, Bücher
        """,
    ),
    *read_nouns("paper", "newspaper | die Zeitung, Zeitungen\nmagazine | die Zeitschrift, Zeitschriften"),
]

FURNITURE = read_nouns(
    "furniture",
    """
    table | der Tisch, Tische
    chair | der Stuhl, Stühle
    bed | das Bett, Betten
    cupboard | der Schrank, Schränke
    """,
)

THINGS = [
    *read_nouns(
        "thing",
        """
        picture | das Bild, Bilder
        key | der Schlüssel, Schlüssel
        umbrella | der Regenschirm, Regenschirme
        present | das Geschenk, Geschenke
        ball | der Ball, Bälle
        flower | die Blume, Blumen
        knife, knives | das Messer, Messer
        plate | der Teller, Teller
        cup | die Tasse, Tassen
        glass | das Glas, Gläser
        """,
    ),
    *read_nouns(
        "container",
        """
        bag | die Tasche, Taschen
        box | die Kiste, Kisten
        suitcase | der Koffer, Koffer
        bottle | die Flasche, Flaschen
        """,
    ),
    *read_nouns(
        "device",
        """
        lamp | die Lampe, Lampen
        computer | der Computer, Computer
        camera | die Kamera, Kameras
        radio | das Radio, Radios
        """,
    ),
    *read_nouns("opening", "door | die Tür, Türen\nwindow | das Fenster, Fenster"),
]

CLOTHES = read_nouns(
    "clothes",
    """
    coat | der Mantel, Mäntel
    jacket | die Jacke, Jacken
    shirt | das Hemd, Hemden
    dress | das Kleid, Kleider
    hat | der Hut, Hüte
    shoe | der Schuh, Schuhe
    """,
)

VEHICLES = read_nouns(
    "vehicle",
    """
    car | das Auto, Autos
    bicycle | das Fahrrad, Fahrräder
    bus | der Bus, Busse
    train | der Zug, Züge
    ship | das Schiff, Schiffe
    """,
)

ROOMS = read_nouns(
    "room",
    """
    kitchen | die Küche, Küchen
    office | das Büro, Büros
    cellar | der Keller, Keller
    room | das Zimmer, Zimmer
    """,
)

BUILDINGS = read_nouns(
    "building",
    """
    house | das Haus, Häuser
    school | die Schule, Schulen
    church | die Kirche, Kirchen
    museum | das Museum, Museen
    hotel | das Hotel, Hotels
    restaurant | das Restaurant, Restaurants
    library | die Bibliothek, Bibliotheken
    hospital | das Krankenhaus, Krankenhäuser
    bakery | die Bäckerei, Bäckereien
    theatre | das Theater, Theater
    """,
)

OUTDOORS = read_nouns(
    "outdoors",
    """
    garden | der Garten, Gärten
    park | der Park, Parks
    forest | der Wald, Wälder
    city | die Stadt, Städte
    village | das Dorf, Dörfer
    """,
)

BASE_NOUNS = [
    *MEN, *WOMEN, *CHILDREN, *ANIMALS, *FOOD, *DRINKS, *TEXTS, *FURNITURE, *THINGS, *CLOTHES, *VEHICLES,
    *ROOMS, *BUILDINGS, *OUTDOORS,
]  # fmt: skip

# People and animals that can be somebody's: my brother, but not my man or my tourist.
OWN = [
    "friend", "neighbour", "father", "brother", "son", "uncle", "teacher", "doctor", "student", "colleague", "guest",
    "cook", "mother", "sister", "daughter", "aunt", "grandmother", "child", "baby", "dog", "cat", "horse", "bird",
    "rabbit", "cow",
]  # fmt: skip

MALE_NAMES = ["Peter", "Paul", "David", "Martin", "Simon", "Robert", "Daniel", "Oliver"]
FEMALE_NAMES = ["Anna", "Maria", "Lisa", "Sarah", "Julia", "Emma", "Clara", "Helena"]
CITIES = [
    ("Berlin", "Berlin"), ("Hamburg", "Hamburg"), ("London", "London"), ("Paris", "Paris"),
    ("Vienna", "Wien"), ("Munich", "München"), ("Cologne", "Köln"), ("Rome", "Rom"),
    ("Italy", "Italien"), ("France", "Frankreich"), ("Poland", "Polen"), ("Spain", "Spanien"),
]  # fmt: skip
