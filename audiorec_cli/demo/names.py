"""Invented artists and titles."""

ARTISTS = {
    "House": ("Velvet Meridian", "Pola Ruiz", "Night Ferry", "Cassio Blue", "Studio Amalfi"),
    "Drum and Bass": ("Krypta Nine", "Halogen Fox", "Subterra Unit", "Mara Volt", "Tidebreaker"),
    "Hip-Hop": ("Big Tangerine", "MC Parallax", "Lady Cobalt", "The Stoop Kids", "Deacon Wry"),
    "Ambient": ("Lake Inari Choir", "Slow Cartography", "Elin Frost", "Moss Archive"),
    "Folk": ("Willa Thorne", "The Barley Road", "Ansel Birch", "Hazel and Rook", "Old Quay"),
    "Metal": ("Iron Vesper", "Grimhollow", "Ashen Throne", "Skarn", "Wolves of Tin"),
    "Jazz": ("Odette Marlow Trio", "The Blue Hour Three", "Theo Lantern Trio", "Bar Seven Trio"),
    "Chiptune": ("Pixel Otter", "Cartridge Kid", "Sprite Parade", "Byte Bakery", "8-Way Joy"),
}

DEBUTS = {
    "House": ("Marble Arcade", "Ines Corso", "Ninth Floor"),
    "Drum and Bass": ("Voltage Heron", "Cold Relay", "Nadir Crew"),
    "Hip-Hop": ("Young Lantern", "Sister Quartz", "Corner Atlas"),
    "Ambient": ("Pale Harbour", "Ada Winter", "Glacier Post"),
    "Folk": ("June Alder", "The Millpond", "Corin Vale"),
    "Metal": ("Bone Cathedral", "Hexfall", "Dread Anvil"),
    "Jazz": ("Mina Sorrel Trio", "Low Lamp Trio", "Copper Street Three"),
    "Chiptune": ("Turbo Finch", "Save Point", "Lemon Raster"),
}

WORDS = {
    "House": (
        "Midnight Golden Endless Electric Crystal Balearic Velvet Rooftop Summer Paradise",
        "Groove Motion Fever Signal Sunrise Body Terrace Heat Mirage Feeling",
    ),
    "Drum and Bass": (
        "Terminal Liquid Fractured Carbon Phantom Rolling Quantum Concrete Shadow Rapid",
        "Pressure Circuit Break Dispatch Velocity Static Tunnel Reactor Horizon Wire",
    ),
    "Hip-Hop": (
        "Corner Golden Paper Sunday Concrete Late Block Heavy Second Borough",
        "Bounce Stories Hustle Crown Letters Avenue Rhymes Smoke Change Verse",
    ),
    "Ambient": (
        "Drifting Silent Distant Frozen Pale Weightless Northern Submerged Hollow Slow",
        "Tides Light Cathedral Snowfall Stations Breath Orbit Field Shore Aurora",
    ),
    "Folk": (
        "Wandering River Old Morning Willow Copper Autumn Harbour Wild Lantern",
        "Road Song Daughter Orchard Hills Letter Hollow Ballad Rain Garden",
    ),
    "Metal": (
        "Blackened Eternal Burning Iron Crimson Shattered Cursed Molten Savage Ancient",
        "Throne Oath Plague Dominion Ashes Serpent Crusade Abyss Hammer Requiem",
    ),
    "Jazz": (
        "Blue Crooked After-Hours Seventh Velvet Easy Broken Smoky Left-Hand Uptown",
        "Waltz Corner Minor Stroll Lullaby Changes Serenade Walk Shuffle Evening",
    ),
    "Chiptune": (
        "Pixel Hyper Secret Bonus Turbo Cosmic Final Bubble Crystal Arcade",
        "Quest Level Castle Jump Boss Power Dash Galaxy Hero Coin",
    ),
}


def draw_titles(style, n_titles, rng):
    """Different two-word titles of a style, a list of strings; numbered beyond 100."""
    firsts, seconds = (words.split() for words in WORDS[style])
    titles = [f"{first} {second}" for first in firsts for second in seconds]
    rng.shuffle(titles)
    rounds = range(1, 2 + n_titles // len(titles))
    numbered = [title if part == 1 else f"{title} {part}" for part in rounds for title in titles]
    return numbered[:n_titles]
